package directory

// ispconfig reads ISPConfig's database dbispconfig: flags are y and n. Its
// Dovecot takes a custom login, too, and calls the user by the address then.
var ispconfig = Queries{
	Account: `
	SELECT u.email AS login,
		CASE WHEN u.disablesmtp = 'n' AND d.active = 'y' THEN 1 ELSE 0 END AS smtp
	FROM mail_user u LEFT JOIN mail_domain d ON d.domain = SUBSTRING_INDEX(u.email, '@', -1)
	WHERE u.email = ?
	UNION ALL
	SELECT u.login AS login,
		CASE WHEN u.disablesmtp = 'n' AND d.active = 'y' THEN 1 ELSE 0 END AS smtp
	FROM mail_user u LEFT JOIN mail_domain d ON d.domain = SUBSTRING_INDEX(u.email, '@', -1)
	WHERE u.login = ? AND NOT EXISTS (SELECT 1 FROM mail_user e WHERE e.email = ?)`,

	// An alias domain is a row of mail_domain, and '@alias' forwarded to '@target'.
	Domains: `
	SELECT d.domain FROM mail_domain d WHERE d.domain = ? AND d.active = 'y'
	UNION ALL
	SELECT d.domain FROM mail_forwarding a
	JOIN mail_domain d ON d.domain = SUBSTRING(a.destination, 2)
	WHERE a.source = CONCAT('@', ?) AND a.type = 'aliasdomain' AND a.active = 'y' AND d.active = 'y'
	UNION ALL
	SELECT SUBSTRING(a.source, 2) FROM mail_domain d
	JOIN mail_forwarding a ON a.destination = CONCAT('@', d.domain)
	WHERE d.domain = ? AND d.active = 'y' AND a.type = 'aliasdomain' AND a.active = 'y'
	UNION ALL
	SELECT SUBSTRING(b.source, 2) FROM mail_forwarding a
	JOIN mail_domain d ON d.domain = SUBSTRING(a.destination, 2)
	JOIN mail_forwarding b ON b.destination = a.destination
	WHERE a.source = CONCAT('@', ?) AND a.type = 'aliasdomain' AND a.active = 'y' AND d.active = 'y'
	AND b.type = 'aliasdomain' AND b.active = 'y'`,

	// destination is a list with ", "; allow_send_as is what its own Postfix asks.
	Addresses: `
	SELECT u.email AS login, f.source FROM mail_user u JOIN mail_forwarding f
	ON FIND_IN_SET(CONVERT(u.email USING utf8mb4) COLLATE utf8mb4_bin, REPLACE(f.destination, ' ', ''))
	WHERE u.email = ? AND f.type IN ('alias', 'forward') AND f.active = 'y' AND f.allow_send_as = 'y'`,

	LocalDomain: `
	SELECT d.domain FROM mail_domain d WHERE d.domain = ? AND d.active = 'y'
	UNION ALL
	SELECT r.domain FROM mail_relay_domain r WHERE r.domain = ? AND r.active = 'y' AND r.access = 'OK'
	UNION ALL
	SELECT SUBSTRING(a.source, 2) FROM mail_forwarding a
	JOIN mail_domain d ON d.domain = SUBSTRING(a.destination, 2)
	WHERE a.source = CONCAT('@', ?) AND a.type = 'aliasdomain' AND a.active = 'y' AND d.active = 'y'`,
}
