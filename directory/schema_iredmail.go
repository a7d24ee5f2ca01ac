package directory

// iredmail reads iRedMail's vmail database: flags are numbers in all of its
// databases. An alias domain is no row of domain.
var iredmail = Queries{
	// Its Dovecot asks for enablesmtpsecured under TLS, its Postfix always for
	// enablesmtp.
	Account: `
	SELECT m.username AS login,
		CASE WHEN m.active = 1 AND m.enablesmtp = 1 AND m.enablesmtpsecured = 1
			AND d.active = 1 AND d.backupmx = 0 THEN 1 ELSE 0 END AS smtp
	FROM mailbox m LEFT JOIN domain d ON d.domain = m.domain
	WHERE m.username = ?`,

	Domains: `
	SELECT d.domain FROM domain d
	WHERE d.domain = ? AND d.active = 1 AND d.backupmx = 0
	UNION ALL
	SELECT d.domain FROM alias_domain a JOIN domain d ON d.domain = a.target_domain
	WHERE a.alias_domain = ? AND a.active = 1 AND d.active = 1 AND d.backupmx = 0
	UNION ALL
	SELECT a.alias_domain FROM domain d JOIN alias_domain a ON a.target_domain = d.domain
	WHERE d.domain = ? AND d.active = 1 AND d.backupmx = 0 AND a.active = 1
	UNION ALL
	SELECT b.alias_domain FROM alias_domain a
	JOIN domain d ON d.domain = a.target_domain
	JOIN alias_domain b ON b.target_domain = d.domain
	WHERE a.alias_domain = ? AND a.active = 1 AND d.active = 1 AND d.backupmx = 0 AND b.active = 1`,

	// is_alias: an address of this user alone. Members of lists and aliases
	// (is_list) get its mail, but do not send in its name.
	Addresses: `
	SELECT f.forwarding AS login, f.address FROM forwardings f
	WHERE f.forwarding = ? AND f.is_alias = 1 AND f.active = 1`,

	LocalDomain: `
	SELECT d.domain FROM domain d WHERE d.domain = ? AND d.active = 1
	UNION ALL
	SELECT a.alias_domain FROM alias_domain a JOIN domain d ON d.domain = a.target_domain
	WHERE a.alias_domain = ? AND a.active = 1 AND d.active = 1`,
}
