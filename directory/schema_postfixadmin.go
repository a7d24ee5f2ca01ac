package directory

// postfixadmin reads PostfixAdmin's tables. An alias domain is a row of domain,
// too, and can be switched off there as well. mailbox.smtp_active came with version 4.0: where the table lacks it, the
// name means the column of "missing".
//
// Queries are in the words that PostgreSQL, MariaDB and SQLite share. Each branch
// of a union begins at an index.
var postfixadmin = Queries{
	Account: `
	SELECT m.username AS login,
		CASE WHEN m.active = TRUE AND d.active = TRUE
			AND (SELECT smtp_active FROM mailbox s WHERE s.username = m.username) = TRUE
			THEN 1 ELSE 0 END AS smtp
	FROM (SELECT TRUE AS smtp_active) missing
	CROSS JOIN mailbox m LEFT JOIN domain d ON d.domain = m.domain
	WHERE m.username = ?`,

	Domains: `
	SELECT d.domain FROM domain d
	WHERE d.domain = ? AND d.active = TRUE AND d.backupmx = FALSE
	UNION ALL
	SELECT d.domain FROM alias_domain a JOIN domain d ON d.domain = a.target_domain
	WHERE a.alias_domain = ? AND a.active = TRUE AND d.active = TRUE AND d.backupmx = FALSE
	UNION ALL
	SELECT a.alias_domain FROM domain d JOIN alias_domain a ON a.target_domain = d.domain
	JOIN domain own ON own.domain = a.alias_domain
	WHERE d.domain = ? AND d.active = TRUE AND d.backupmx = FALSE AND a.active = TRUE AND own.active = TRUE
	UNION ALL
	SELECT b.alias_domain FROM alias_domain a
	JOIN domain d ON d.domain = a.target_domain
	JOIN alias_domain b ON b.target_domain = d.domain
	JOIN domain own ON own.domain = b.alias_domain
	WHERE a.alias_domain = ? AND a.active = TRUE AND d.active = TRUE AND d.backupmx = FALSE AND b.active = TRUE
		AND own.active = TRUE`,

	// goto is a list with commas; every mailbox is in one of its own as well.
	Addresses: `
	SELECT m.username AS login, a.address FROM mailbox m JOIN alias a ON a.domain = m.domain
	WHERE m.username = ? AND a.active = TRUE
	AND REPLACE(CONCAT(',', LOWER(a.goto), ','), CONCAT(',', LOWER(m.username), ','), '') <> CONCAT(',', LOWER(a.goto), ',')
	UNION ALL
	SELECT m.username, a.address FROM mailbox m
	JOIN alias_domain ad ON ad.target_domain = m.domain
	JOIN alias a ON a.domain = ad.alias_domain
	WHERE m.username = ? AND ad.active = TRUE AND a.active = TRUE
	AND REPLACE(CONCAT(',', LOWER(a.goto), ','), CONCAT(',', LOWER(m.username), ','), '') <> CONCAT(',', LOWER(a.goto), ',')`,

	LocalDomain: `
	SELECT d.domain FROM domain d WHERE d.domain = ? AND d.active = TRUE`,
}
