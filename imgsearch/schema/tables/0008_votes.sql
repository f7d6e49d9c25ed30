-- What people thought of two spaces' answers, side by side and blind.

CREATE TABLE imgsearch.vote (
    vote_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    text        NOT NULL,
    first_space  integer     NOT NULL REFERENCES imgsearch.space ON DELETE CASCADE,
    second_space integer     NOT NULL REFERENCES imgsearch.space ON DELETE CASCADE,
    question     text        NOT NULL,
    better       text        NOT NULL,
    shown        text[]      NOT NULL DEFAULT '{}',
    fits         text[]      NOT NULL DEFAULT '{}',
    voter        text        NOT NULL DEFAULT '',
    voted_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT spaces_are_two CHECK (first_space < second_space),
    CONSTRAINT question_is_of_a_kind CHECK (question ~ '^(text|image):.' AND length(question) <= 2010),
    CONSTRAINT better_is_known CHECK (better IN ('first', 'second', 'same')),
    CONSTRAINT what_fits_was_shown CHECK (fits <@ shown AND cardinality(shown) <= 200)
);
CREATE INDEX vote_of_spaces ON imgsearch.vote (first_space, second_space, tenant_id);
COMMENT ON TABLE imgsearch.vote IS 'Which of two spaces answered a question better, said by people who did not know which was which: imgsearch judge 1 2.';
COMMENT ON COLUMN imgsearch.vote.vote_id IS 'Identity of the vote.';
COMMENT ON COLUMN imgsearch.vote.tenant_id IS 'Whose pictures were looked at; empty: everybody''s.';
COMMENT ON COLUMN imgsearch.vote.first_space IS 'The space with the smaller number.';
COMMENT ON COLUMN imgsearch.vote.second_space IS 'The other one.';
COMMENT ON COLUMN imgsearch.vote.question IS 'What was asked: text:red shoe, or image:42.';
COMMENT ON COLUMN imgsearch.vote.better IS 'first, second, or same.';
COMMENT ON COLUMN imgsearch.vote.shown IS 'The products that were seen, of both answers.';
COMMENT ON COLUMN imgsearch.vote.fits IS 'Those of them that were said to fit; judgements, where there are any.';
COMMENT ON COLUMN imgsearch.vote.voter IS 'Who voted: the name of the key, or empty.';
COMMENT ON COLUMN imgsearch.vote.voted_at IS 'When.';
