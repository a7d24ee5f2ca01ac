package directory

// mailcow reads mailcow's database. A mailbox with active = 2 gets mail and may
// not log in. An alias domain is no row of domain; a domain that is relayed
// (backupmx) may have mailboxes. alias.sender_allowed is new: where the table
// lacks it, the name means the column of "missing".
var mailcow = Queries{
	Account: `
	SELECT m.username AS login,
		CASE WHEN m.active = 1 AND d.active = 1
			AND COALESCE(JSON_UNQUOTE(JSON_EXTRACT(m.attributes, '$.smtp_access')), '1') = '1'
			THEN 1 ELSE 0 END AS smtp
	FROM mailbox m LEFT JOIN domain d ON d.domain = m.domain
	WHERE m.username = ? AND m.kind NOT IN ('location', 'thing', 'group')`,

	Domains: `
	SELECT d.domain FROM domain d WHERE d.domain = ? AND d.active = 1
	UNION ALL
	SELECT d.domain FROM alias_domain a JOIN domain d ON d.domain = a.target_domain
	WHERE a.alias_domain = ? AND a.active = 1 AND d.active = 1
	UNION ALL
	SELECT a.alias_domain FROM domain d JOIN alias_domain a ON a.target_domain = d.domain
	WHERE d.domain = ? AND d.active = 1 AND a.active = 1
	UNION ALL
	SELECT b.alias_domain FROM alias_domain a
	JOIN domain d ON d.domain = a.target_domain
	JOIN alias_domain b ON b.target_domain = d.domain
	WHERE a.alias_domain = ? AND a.active = 1 AND d.active = 1 AND b.active = 1`,

	Addresses: `
	SELECT m.username AS login, a.address FROM (SELECT 1 AS sender_allowed) missing
	CROSS JOIN mailbox m JOIN alias a ON FIND_IN_SET(m.username COLLATE utf8mb4_bin, a.goto)
	WHERE m.username = ? AND a.active = 1
	AND (SELECT sender_allowed FROM alias s WHERE s.id = a.id) = 1
	UNION ALL
	SELECT s.logged_in_as, s.send_as FROM sender_acl s WHERE s.logged_in_as = ? AND s.external = 0`,

	// What an administrator allows beyond the account's own domains: addresses and
	// @domains, here and elsewhere. '*' (anything at all) is not honoured.
	Senders: `
	SELECT s.logged_in_as AS login, s.send_as FROM sender_acl s WHERE s.logged_in_as = ?`,

	LocalDomain: `
	SELECT d.domain FROM domain d WHERE d.domain = ? AND d.active = 1
	UNION ALL
	SELECT a.alias_domain FROM alias_domain a JOIN domain d ON d.domain = a.target_domain
	WHERE a.alias_domain = ? AND a.active = 1 AND d.active = 1`,
}
