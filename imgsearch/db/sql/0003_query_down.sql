-- Remove the query functions and the views an admin looks at.
DROP VIEW imgsearch.status;
DROP VIEW imgsearch.violations;
DROP VIEW imgsearch.failures;
DROP FUNCTION imgsearch.refetch(text, text, bigint);
DROP FUNCTION imgsearch.requeue(text, text, bigint);
DROP PROCEDURE imgsearch.embed(text, double precision);
DROP FUNCTION imgsearch.ask(text, bytea);
DROP FUNCTION imgsearch.distance(halfvec, text);
DROP FUNCTION imgsearch.vec_of(bigint, text);
DROP FUNCTION imgsearch.vec(text);
DROP FUNCTION imgsearch.active_space();
DROP FUNCTION imgsearch.canonical(text);
