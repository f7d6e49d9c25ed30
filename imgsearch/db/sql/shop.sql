-- name: set
-- The language of a shop's words, and whether it keeps what is asked.
SELECT imgsearch.set_shop(%(tenant)s, %(language)s, %(keep_questions)s)

-- name: suggest
-- What somebody may be typing.
SELECT suggestion, kind, product_id FROM imgsearch.suggest(%(typed)s, %(tenant)s, %(k)s)
