-- Rows that do not say what they were fetched for, and by whom, prove nothing any more.
DELETE FROM record;
DELETE FROM watch;

ALTER TABLE watch ADD COLUMN source TEXT NOT NULL DEFAULT '';   -- hash of the query that the rows are of
ALTER TABLE watch ADD COLUMN realm TEXT NOT NULL DEFAULT '';    -- hash of what is lost together with access
ALTER TABLE watch ADD COLUMN writer INTEGER NOT NULL DEFAULT 0; -- the lease that wrote last; 0 if rows went otherwise
