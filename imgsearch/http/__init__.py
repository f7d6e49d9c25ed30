"""The JSON API as a blueprint: requests, answers, problem documents, keys, OpenAPI, health and metrics."""
