-- What the server told of the accounts that the list names: a JSON array, NULL where it told of none.
ALTER TABLE watch ADD COLUMN profiles TEXT;
ALTER TABLE watch ADD COLUMN profiles_hash INTEGER;     -- over the watch's key and account and `profiles`
