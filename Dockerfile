# One image for every process of imgsearch; the command says which.
FROM python:3.11-slim
# Where torch comes from; empty: pip's default (a GPU build on Linux).
ARG TORCH_INDEX=""
WORKDIR /app
COPY constraints.txt .
RUN pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE ./
COPY imgsearch imgsearch
COPY workers workers
COPY migrations migrations
RUN pip install --no-cache-dir --constraint constraints.txt '.[cli,flask,heif,jxl,metrics,sqlalchemy,worker]' \
    && useradd --create-home imgsearch && mkdir /pictures /models && chown imgsearch /pictures /models
USER imgsearch
# exec form in the compose file: the worker is process 1 and hears SIGTERM.
CMD ["imgsearch", "--help"]
