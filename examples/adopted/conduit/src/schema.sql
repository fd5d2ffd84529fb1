-- Several nodes may start at once.
SELECT pg_advisory_xact_lock(20151105);

CREATE TABLE IF NOT EXISTS users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL CONSTRAINT username UNIQUE,
    email text NOT NULL,
    password_hash text NOT NULL,
    bio text,
    image text
);
CREATE UNIQUE INDEX IF NOT EXISTS email ON users (lower(email));

CREATE TABLE IF NOT EXISTS follows (
    follower bigint REFERENCES users ON DELETE CASCADE,
    followed bigint REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (follower, followed)
);

CREATE TABLE IF NOT EXISTS articles (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL CONSTRAINT title UNIQUE,
    author_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    title text NOT NULL,
    description text NOT NULL,
    body text NOT NULL,
    tags text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS favorites (
    user_id bigint REFERENCES users ON DELETE CASCADE,
    article_id bigint REFERENCES articles ON DELETE CASCADE,
    PRIMARY KEY (user_id, article_id)
);

CREATE TABLE IF NOT EXISTS comments (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    article_id bigint NOT NULL REFERENCES articles ON DELETE CASCADE,
    author_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
