-- +goose Up
-- node names the data folder that holds an upload's file: only the process
-- that has the folder may touch the upload and run its job.
-- state: 1 receiving, 2 finished, 3 discarded.
CREATE TABLE uploads (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    node        TEXT NOT NULL,
    video_id    TEXT NOT NULL,
    creator_id  TEXT NOT NULL,
    filename    TEXT NOT NULL,
    size_bytes  BIGINT NOT NULL,
    state       INTEGER NOT NULL,
    problem     TEXT NOT NULL,
    job_id      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX uploads_by_node ON uploads (node, state, id);
CREATE INDEX uploads_by_creator ON uploads (tenant_id, creator_id, state);

-- state: 1 queued, 2 probing, 3 transcoding, 4 packaging, 5 succeeded,
-- 6 failed, 7 cancelled. A queued job is not started before due_at. An ended
-- job is clean once nothing of it is left but its output, if it has one.
CREATE TABLE jobs (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL,
    node          TEXT NOT NULL,
    upload_id     TEXT NOT NULL REFERENCES uploads (id),
    video_id      TEXT NOT NULL,
    creator_id    TEXT NOT NULL,
    state         INTEGER NOT NULL,
    progress_ppm  BIGINT NOT NULL,
    attempt       INTEGER NOT NULL,
    problem       TEXT NOT NULL,
    source        BYTEA NOT NULL,
    renditions    BYTEA NOT NULL,
    output_prefix TEXT NOT NULL,
    due_at        BIGINT NOT NULL,
    clean         INTEGER NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX jobs_by_upload ON jobs (upload_id);
CREATE INDEX jobs_by_node ON jobs (node, state, due_at);
CREATE INDEX jobs_unclean ON jobs (node, id) WHERE clean = 0;
CREATE INDEX jobs_by_video ON jobs (tenant_id, video_id, id);
CREATE INDEX jobs_by_creator ON jobs (tenant_id, creator_id, id);

-- +goose Down
DROP TABLE jobs;
DROP TABLE uploads;
