package directory

// modoboa reads the tables of Modoboa's admin application. An alias domain is
// no row of admin_domain. message_limit is of a day, and so not used.
var modoboa = Queries{
	Account: `
	SELECT u.email AS login,
		CASE WHEN u.is_active = TRUE AND d.enabled = TRUE THEN 1 ELSE 0 END AS smtp
	FROM core_user u
	JOIN admin_mailbox m ON m.user_id = u.id
	LEFT JOIN admin_domain d ON d.id = m.domain_id
	WHERE u.email = ?`,

	Domains: `
	SELECT d.name FROM admin_domain d WHERE d.name = ? AND d.enabled = TRUE
	UNION ALL
	SELECT d.name FROM admin_domainalias a JOIN admin_domain d ON d.id = a.target_id
	WHERE a.name = ? AND a.enabled = TRUE AND d.enabled = TRUE
	UNION ALL
	SELECT a.name FROM admin_domain d JOIN admin_domainalias a ON a.target_id = d.id
	WHERE d.name = ? AND d.enabled = TRUE AND a.enabled = TRUE
	UNION ALL
	SELECT b.name FROM admin_domainalias a
	JOIN admin_domain d ON d.id = a.target_id
	JOIN admin_domainalias b ON b.target_id = d.id
	WHERE a.name = ? AND a.enabled = TRUE AND d.enabled = TRUE AND b.enabled = TRUE`,

	Addresses: `
	SELECT u.email AS login, al.address FROM core_user u
	JOIN admin_mailbox m ON m.user_id = u.id
	JOIN modoboa_admin_aliasrecipient r ON r.r_mailbox_id = m.id
	JOIN admin_alias al ON al.id = r.alias_id
	WHERE u.email = ? AND al.enabled = TRUE AND (al.expire_at IS NULL OR al.expire_at > CURRENT_TIMESTAMP)
	UNION ALL
	SELECT u.email, s.address FROM core_user u
	JOIN admin_mailbox m ON m.user_id = u.id
	JOIN admin_senderaddress s ON s.mailbox_id = m.id
	WHERE u.email = ?`,

	Senders: `
	SELECT u.email AS login, s.address FROM core_user u
	JOIN admin_mailbox m ON m.user_id = u.id
	JOIN admin_senderaddress s ON s.mailbox_id = m.id
	WHERE u.email = ?`,

	LocalDomain: `
	SELECT d.name FROM admin_domain d WHERE d.name = ? AND d.enabled = TRUE
	UNION ALL
	SELECT a.name FROM admin_domainalias a JOIN admin_domain d ON d.id = a.target_id
	WHERE a.name = ? AND a.enabled = TRUE AND d.enabled = TRUE`,
}
