"""The JSON API as a blueprint: requests, responses, problem documents, keys, OpenAPI, health and metrics."""
