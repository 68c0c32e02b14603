-- +goose Up
CREATE TABLE accounts (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL,
    role          INTEGER NOT NULL,
    email         TEXT NOT NULL,
    secret_hash   TEXT NOT NULL,
    display_name  TEXT NOT NULL,
    country       TEXT NOT NULL,
    external_ref  TEXT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX accounts_by_email ON accounts (tenant_id, email) WHERE email <> '';
CREATE UNIQUE INDEX accounts_by_external_ref ON accounts (tenant_id, external_ref) WHERE external_ref <> '';

CREATE TABLE videos (
    id             TEXT PRIMARY KEY,
    tenant_id      TEXT NOT NULL,
    creator_id     TEXT NOT NULL REFERENCES accounts (id),
    title          TEXT NOT NULL,
    description    TEXT NOT NULL,
    -- One tag a line.
    tags           TEXT NOT NULL,
    state          INTEGER NOT NULL,
    price_minor    BIGINT NOT NULL,
    price_currency TEXT NOT NULL,
    duration       BIGINT NOT NULL,
    width          BIGINT NOT NULL,
    height         BIGINT NOT NULL,
    problem        TEXT NOT NULL,
    -- Bucket prefix of the renditions; empty before the first.
    media_prefix   TEXT NOT NULL,
    external_ref   TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    published_at   BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL
);
CREATE UNIQUE INDEX videos_by_external_ref ON videos (tenant_id, creator_id, external_ref) WHERE external_ref <> '';
CREATE INDEX videos_by_state ON videos (tenant_id, state, id);

CREATE TABLE views (
    tenant_id TEXT NOT NULL,
    id        TEXT NOT NULL,
    viewer_id TEXT NOT NULL,
    video_id  TEXT NOT NULL REFERENCES videos (id),
    watched   BIGINT NOT NULL,
    viewed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE orders (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL,
    viewer_id       TEXT NOT NULL REFERENCES accounts (id),
    video_id        TEXT NOT NULL REFERENCES videos (id),
    creator_id      TEXT NOT NULL,
    price_minor     BIGINT NOT NULL,
    price_currency  TEXT NOT NULL,
    state           INTEGER NOT NULL,
    problem         TEXT NOT NULL,
    -- RiskDecision, wire format; empty before there is one.
    risk            BYTEA NOT NULL,
    xid             TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    instrument      TEXT NOT NULL,
    device          TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
CREATE UNIQUE INDEX orders_by_key ON orders (tenant_id, viewer_id, idempotency_key);
CREATE INDEX orders_by_state ON orders (state, updated_at);

-- The right of a viewer to watch a video; one row for each pair, which the
-- newest order holds.
CREATE TABLE entitlements (
    tenant_id  TEXT NOT NULL,
    viewer_id  TEXT NOT NULL,
    video_id   TEXT NOT NULL REFERENCES videos (id),
    order_id   TEXT NOT NULL,
    state      INTEGER NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, viewer_id, video_id)
);

-- +goose Down
DROP TABLE entitlements;
DROP TABLE orders;
DROP TABLE views;
DROP TABLE videos;
DROP TABLE accounts;
