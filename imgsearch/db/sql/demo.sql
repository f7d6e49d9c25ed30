-- name: have
-- What is uploaded already.
SELECT tenant_id, product_id, position FROM imgsearch.image

-- name: first
-- Something to ask for more of: the first picture of a category and colour, else of the category, else any.
SELECT image_id, category, attributes ->> 'colour' AS colour FROM imgsearch.images
ORDER BY category IS DISTINCT FROM %(category)s, attributes ->> 'colour' IS DISTINCT FROM %(colour)s, image_id LIMIT 1

-- name: answers_questions
-- Has a worker that embeds questions shown itself in the last so many seconds? One that was killed left its row behind.
SELECT EXISTS (
    SELECT 1 FROM imgsearch.worker WHERE queue IN ('queries', 'both') AND seen_at > now() - %(seconds)s * interval '1 second'
) AS answers

-- name: speak_english
-- The titles of these tenants are English, so that "shoes" finds a shoe.
SELECT imgsearch.set_shop(t, language => 'english') FROM unnest(%(tenants)s::text[]) t
