-- Nobody but the owner of the tables may change or remove what the audit log holds: `audit_prune` does, as the owner, and so
-- owners are not held to row security. Only what works for all tenants writes; a tenant's callers see its chains.
REVOKE ALL ON audit_entries, audit_heads, audit_checkpoints FROM pinakes_tenant, pinakes_spanning;
GRANT SELECT ON audit_entries, audit_heads, audit_checkpoints TO pinakes_tenant, pinakes_spanning;
GRANT INSERT ON audit_entries, audit_heads, audit_checkpoints TO pinakes_spanning;
GRANT UPDATE ON audit_heads TO pinakes_spanning;
REVOKE ALL ON FUNCTION audit_prune FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_prune TO pinakes_spanning;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['audit_entries', 'audit_heads', 'audit_checkpoints']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY of_one_tenant ON %I TO pinakes_tenant USING (tenant = current_tenant())', name);
        EXECUTE format('CREATE POLICY of_all_tenants ON %I TO pinakes_spanning USING (true)', name);
    END LOOP;
END $$;
