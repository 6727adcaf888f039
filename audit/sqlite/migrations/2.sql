-- A client has the host name of its device beside it. What was seen before is of no name that was known.
DROP VIEW seen_readable;

CREATE TABLE named_client (
    id        INTEGER PRIMARY KEY,
    last_hour INTEGER NOT NULL,
    address   TEXT NOT NULL,
    user      TEXT NOT NULL,
    mac       TEXT NOT NULL,
    hostname  TEXT NOT NULL,
    site      TEXT NOT NULL, -- empty: the default site
    UNIQUE (address, user, mac, hostname, site)
) STRICT;
INSERT INTO named_client SELECT id, last_hour, address, user, mac, '', site FROM client;
DROP TABLE client;
ALTER TABLE named_client RENAME TO client;

CREATE VIEW seen_readable AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%SZ', seen.hour, 'unixepoch') AS hour,
    strftime('%Y-%m-%dT%H:%M:%S', seen.hour + seen.first / 1000000000, 'unixepoch') || printf('.%09dZ', seen.first % 1000000000) AS first,
    strftime('%Y-%m-%dT%H:%M:%S', seen.hour + seen.last / 1000000000, 'unixepoch') || printf('.%09dZ', seen.last % 1000000000) AS last,
    flows, cuts, bytes_in, bytes_out,
    address AS client, user, mac, hostname, site,
    kind, method, scheme, host, port, path, sni, hello, ech,
    vendor, channels, verdict, state, category, rule
FROM seen
JOIN client ON client.id = seen.client
JOIN request ON request.id = seen.request
JOIN outcome ON outcome.id = seen.outcome;
