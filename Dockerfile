# One image for every process of imgsearch; the command says which.
FROM python:3.11-slim
# Which torch: cpu (200 MB), or the CUDA of the driver's age as uv names it (cu126, cu128, …; some GB).
ARG TORCH=cpu
WORKDIR /app
RUN pip install --no-cache-dir uv
COPY constraints.txt .
# uv knows where each build of torch is kept; pip's default on Linux would be the one with CUDA.
RUN uv pip install --system --no-cache --torch-backend "$TORCH" --constraint constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
COPY imgsearch imgsearch
COPY workers workers
RUN uv pip install --system --no-cache --torch-backend "$TORCH" --constraint constraints.txt \
        '.[cli,flask,heif,jxl,metrics,spatial,sqlalchemy,worker]' \
    && useradd --uid 1000 --create-home imgsearch && mkdir /pictures /models && chown imgsearch /pictures /models
# A number, so that Kubernetes can see that it is not root.
USER 1000
# exec form in the compose file: the worker is process 1 and hears SIGTERM.
CMD ["imgsearch", "--help"]
