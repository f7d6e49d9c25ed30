-- Remove the tables. The schema stays (it holds the version table), and so do the pictures in the store and the
-- extension, which others may use.
DROP TABLE imgsearch.worker;
DROP TABLE imgsearch.query_vector;
DROP TABLE imgsearch.job;
DROP TABLE imgsearch.image;
DROP TABLE imgsearch.space;
