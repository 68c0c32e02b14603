-- +goose Up
CREATE TABLE uploads (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
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
CREATE INDEX uploads_by_state ON uploads (state, updated_at);

CREATE TABLE jobs (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL,
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
    lease_owner   TEXT NOT NULL,
    lease_until   BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX jobs_by_upload ON jobs (upload_id);
CREATE INDEX jobs_by_state ON jobs (state, created_at);
CREATE INDEX jobs_by_video ON jobs (tenant_id, video_id, id);

-- +goose Down
DROP TABLE jobs;
DROP TABLE uploads;
