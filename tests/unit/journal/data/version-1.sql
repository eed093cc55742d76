-- A journal as schema version 1 made it: three events, the first two delivered. Loaded by test_opening.py.
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE TABLE event (
        seq INTEGER PRIMARY KEY,
        body TEXT NOT NULL,
        hash TEXT NOT NULL,
        time TEXT AS (json_extract(body, '$.time')) VIRTUAL,
        type TEXT AS (json_extract(body, '$.type')) VIRTUAL,
        lane TEXT AS (json_extract(body, '$.lane')) VIRTUAL,
        device TEXT AS (json_extract(body, '$.data.device')) VIRTUAL,
        point TEXT AS (json_extract(body, '$.data.point')) VIRTUAL,
        id TEXT AS (json_extract(body, '$.id')) VIRTUAL
    );
CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY,
        lane TEXT NOT NULL,
        state TEXT NOT NULL,
        code INTEGER,
        reason TEXT
    );
CREATE TRIGGER event_is_due AFTER INSERT ON event BEGIN
        INSERT INTO outbox (seq, lane, state) VALUES (new.seq, new.lane, 'due');
    END;
CREATE TABLE gap (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, hash TEXT NOT NULL);
CREATE TABLE command (
        id TEXT PRIMARY KEY,
        verb TEXT NOT NULL,
        taken TEXT NOT NULL,
        life TEXT NOT NULL,
        reply TEXT
    );
CREATE TABLE saved (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('campus-agent-journal', 'version-1', '2026-11-01T08:00:00+08:00');
INSERT INTO event (seq, body, hash) VALUES (1, '{"clock":"synced","data":{"bootid":"boot-0","boottime_ns":1000000000,"device":"guardroom","kind":"panic","name":"门卫室一键报警","point":"panic","priority":1,"value":true},"datacontenttype":"application/json","drill":false,"id":"01JBVERSION1EVENT000000001","journal":"01JBVERSION1JOURNAL0000001","lane":"alarm","prevhash":"0000000000000000000000000000000000000000000000000000000000000000","seq":1,"source":"/370812/sy-primary/guardroom/panic","specversion":"1.0","time":"2026-11-01T08:00:01.000+08:00","type":"campus.alarm.raised"}', 'ee02566ec31260654e79ab670b610939497afdd5162084ccfb93f245455c1886');
INSERT INTO event (seq, body, hash) VALUES (2, '{"clock":"synced","data":{"bootid":"boot-0","boottime_ns":2000000000,"device":"guardroom","kind":"panic","name":"门卫室一键报警","point":"panic","priority":1,"value":true},"datacontenttype":"application/json","drill":false,"id":"01JBVERSION1EVENT000000002","journal":"01JBVERSION1JOURNAL0000001","lane":"alarm","prevhash":"ee02566ec31260654e79ab670b610939497afdd5162084ccfb93f245455c1886","seq":2,"source":"/370812/sy-primary/guardroom/panic","specversion":"1.0","time":"2026-11-01T08:00:02.000+08:00","type":"campus.alarm.raised"}', 'd31ff8712ae8b1603beb706280a96b7d8f14657ac408b77826016141eac661f7');
INSERT INTO event (seq, body, hash) VALUES (3, '{"clock":"synced","data":{"bootid":"boot-0","boottime_ns":3000000000,"device":"guardroom","kind":"panic","name":"门卫室一键报警","point":"panic","priority":1,"value":true},"datacontenttype":"application/json","drill":false,"id":"01JBVERSION1EVENT000000003","journal":"01JBVERSION1JOURNAL0000001","lane":"alarm","prevhash":"d31ff8712ae8b1603beb706280a96b7d8f14657ac408b77826016141eac661f7","seq":3,"source":"/370812/sy-primary/guardroom/panic","specversion":"1.0","time":"2026-11-01T08:00:03.000+08:00","type":"campus.alarm.raised"}', 'ac47d3bcde65fddce3c59738c19d0ee444de07fb52f32bf554b52ffa0e354a0c');
DELETE FROM outbox WHERE seq < 3;
INSERT INTO saved VALUES ('guardroom/panic', 'active');
INSERT INTO meta VALUES ('journal', '01JBVERSION1JOURNAL0000001'), ('made', '2026-11-01T08:00:00+08:00');
PRAGMA user_version = 1;
PRAGMA application_id = 1128352305;
