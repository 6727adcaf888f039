-- Where the database is in the journal: the number of the first record that is not yet in it.
CREATE TABLE cursor (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    next INTEGER NOT NULL CHECK (next >= 0)
) STRICT;
INSERT INTO cursor VALUES (1, 0);

-- What flows have in common is kept once: who asked, for what, and what came of it. An absent text is empty.
-- last_hour is the latest hour in which it was seen.
CREATE TABLE client (
    id        INTEGER PRIMARY KEY,
    last_hour INTEGER NOT NULL,
    address   TEXT NOT NULL,
    user      TEXT NOT NULL,
    mac       TEXT NOT NULL,
    site      TEXT NOT NULL, -- empty: the default site
    UNIQUE (address, user, mac, site)
) STRICT;

CREATE TABLE request (
    id        INTEGER PRIMARY KEY,
    last_hour INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    method    TEXT NOT NULL,
    scheme    TEXT NOT NULL,
    host      TEXT NOT NULL,
    port      INTEGER NOT NULL,
    path      TEXT NOT NULL,
    sni       TEXT NOT NULL,
    hello     TEXT NOT NULL,
    ech       INTEGER NOT NULL,
    UNIQUE (host, path, sni, port, kind, method, scheme, hello, ech)
) STRICT;

CREATE TABLE outcome (
    id        INTEGER PRIMARY KEY,
    last_hour INTEGER NOT NULL,
    vendor    TEXT NOT NULL,
    channels  TEXT NOT NULL, -- with commas between
    verdict   TEXT NOT NULL,
    state     TEXT NOT NULL,
    category  TEXT NOT NULL, -- what decided: restriction, rule, waiver, ...
    rule      TEXT NOT NULL, -- its id
    UNIQUE (rule, state, vendor, channels, verdict, category)
) STRICT;

-- How often, in which hour of policy time. first and last are nanoseconds after its start.
CREATE TABLE seen (
    hour      INTEGER NOT NULL, -- its start, in seconds since 1970
    client    INTEGER NOT NULL REFERENCES client,
    request   INTEGER NOT NULL REFERENCES request,
    outcome   INTEGER NOT NULL REFERENCES outcome,
    first     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    flows     INTEGER NOT NULL,
    cuts      INTEGER NOT NULL,
    bytes_in  INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    PRIMARY KEY (hour, client, request, outcome)
) STRICT, WITHOUT ROWID;

-- The same for people.
CREATE VIEW seen_readable AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%SZ', seen.hour, 'unixepoch') AS hour,
    strftime('%Y-%m-%dT%H:%M:%S', seen.hour + seen.first / 1000000000, 'unixepoch') || printf('.%09dZ', seen.first % 1000000000) AS first,
    strftime('%Y-%m-%dT%H:%M:%S', seen.hour + seen.last / 1000000000, 'unixepoch') || printf('.%09dZ', seen.last % 1000000000) AS last,
    flows, cuts, bytes_in, bytes_out,
    address AS client, user, mac, site,
    kind, method, scheme, host, port, path, sni, hello, ech,
    vendor, channels, verdict, state, category, rule
FROM seen
JOIN client ON client.id = seen.client
JOIN request ON request.id = seen.request
JOIN outcome ON outcome.id = seen.outcome;
