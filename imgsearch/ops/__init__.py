"""Operations: maintenance, the doctor, tuning, metrics, API keys."""
