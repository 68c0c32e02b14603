-- +goose Up
-- viewers: how many have an interaction. updated_at 0: not told of yet.
CREATE TABLE videos (
    tenant_id  TEXT NOT NULL,
    video_id   TEXT NOT NULL,
    available  BOOLEAN NOT NULL,
    viewers    BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, video_id)
);

-- One row for each viewer and video: how often and when last.
CREATE TABLE interactions (
    tenant_id      TEXT NOT NULL,
    viewer_id      TEXT NOT NULL,
    video_id       TEXT NOT NULL,
    views          BIGINT NOT NULL,
    watched        BIGINT NOT NULL,
    last_viewed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, viewer_id, video_id)
);

-- +goose Down
DROP TABLE interactions;
DROP TABLE videos;
