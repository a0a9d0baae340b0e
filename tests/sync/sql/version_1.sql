BEGIN TRANSACTION;
CREATE TABLE amili_schema (
	version INTEGER NOT NULL
);
INSERT INTO "amili_schema" VALUES(1);
CREATE TABLE batch_entries (
	organization_id TEXT NOT NULL, 
	batch_id TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	type TEXT, 
	invoice_id TEXT, 
	invoice_number TEXT, 
	case_id TEXT, 
	message TEXT, 
	reference TEXT, 
	raw TEXT, 
	PRIMARY KEY (organization_id, batch_id, outcome, position)
);
INSERT INTO "batch_entries" VALUES('organization','batch 1','succeeded',0,'invoiceSuccess','invoice 1','INV-1',NULL,NULL,NULL,NULL);
INSERT INTO "batch_entries" VALUES('organization','batch 1','failed',0,NULL,NULL,NULL,NULL,NULL,NULL,'null');
INSERT INTO "batch_entries" VALUES('organization','batch 2','succeeded',0,'invoiceSuccess','invoice 1','INV-1',NULL,NULL,NULL,NULL);
INSERT INTO "batch_entries" VALUES('organization','batch 2','failed',0,NULL,NULL,NULL,NULL,NULL,NULL,'null');
CREATE TABLE batches (
	organization_id TEXT NOT NULL, 
	id TEXT NOT NULL, 
	type TEXT, 
	state TEXT, 
	created_at TEXT, 
	finished_at TEXT, 
	created_by TEXT, 
	succeeded INTEGER NOT NULL, 
	failed INTEGER NOT NULL, 
	synced_at TEXT, 
	raw TEXT NOT NULL, 
	PRIMARY KEY (organization_id, id)
);
INSERT INTO "batches" VALUES('organization','batch 1','INVOICE','SUCCESS','2025-03-09T14:31:00.000000+00:00',NULL,NULL,1,1,'2026-11-22T19:27:45.247427+00:00','{"batchId": "batch 1", "type": "INVOICE", "status": "SUCCESS", "createdAt": "2025-03-09T14:31:00Z", "succeeded": [{"invoiceId": "invoice 1", "invoiceNumber": "INV-1"}], "failed": [null]}');
INSERT INTO "batches" VALUES('organization','batch 2','INVOICE','QUEUED','2025-03-09T14:32:00.000000+00:00',NULL,NULL,1,1,'2026-11-22T19:27:45.247427+00:00','{"batchId": "batch 2", "type": "INVOICE", "status": "QUEUED", "createdAt": "2025-03-09T14:32:00Z", "succeeded": [{"invoiceId": "invoice 1", "invoiceNumber": "INV-1"}], "failed": [null]}');
CREATE TABLE quarantine (
	organization_id TEXT NOT NULL, 
	resource TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	path TEXT, 
	reason TEXT, 
	synced_at TEXT, 
	raw BLOB NOT NULL, 
	PRIMARY KEY (organization_id, resource, "key")
);
INSERT INTO "quarantine" VALUES('organization','batches','batch 3','$.createdAt','expected a time','2026-11-22T19:27:45.247427+00:00',X'7B2262617463684964223A2262617463682033227D');
CREATE TABLE walks (
	organization_id TEXT NOT NULL, 
	resource TEXT NOT NULL, 
	bookmark TEXT NOT NULL, 
	walks INTEGER NOT NULL, 
	finished_at TEXT, 
	seconds FLOAT NOT NULL, 
	error TEXT, 
	holder TEXT, 
	lease INTEGER NOT NULL, 
	expires_at FLOAT NOT NULL, 
	PRIMARY KEY (organization_id, resource)
);
INSERT INTO "walks" VALUES('organization','batches','{"coverage":{"newest":"2025-03-09T14:32:00Z","ordered":true,"open":{"batch 2":"2025-03-09T14:32:00Z"}},"walks":1,"finished_at":"2025-03-10T00:00:00Z","seconds":0.5}',1,'2025-03-10T00:00:00.000000+00:00',0.5,NULL,NULL,1,0.0);
COMMIT;
