-- Values that the functions of a search by words hand to each other.

CREATE TYPE imgsearch_internal.asked_words AS (
    words text[], queries tsquery[], titles tsquery[], counts integer[], weights integer[], missing text[], key text, total integer, weighed integer[], tells double precision[]
);
COMMENT ON TYPE imgsearch_internal.asked_words IS 'The words of a question that some product has, rarest first: as they are written there, what finds them (anywhere, in titles), how many products have them and what they weigh; missing: those that none has; key: the whole question as a code; total: the weight of all words; weighed: what each weighs, and 100 times its step, in the order they were asked in; tells: how much each tells, 1 to 0.';

CREATE TYPE imgsearch_internal.word_hit AS (tenant_id text, product_id text, image_id bigint, score integer, exact boolean, whole boolean);
COMMENT ON TYPE imgsearch_internal.word_hit IS 'A product that has words of a question, its first matching picture, and how much of the question it has.';
