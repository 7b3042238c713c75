// What Postgres has since which version, as `server_version_num` counts them, and what is so in all of them.

/** Objects of the user begin here. https://www.postgresql.org/docs/current/system-catalog-initial-data.html (FirstNormalObjectId) */
export const FIRST_USER_OID = 16_384;

/** https://www.postgresql.org/support/versioning/ */
export const OLDEST_VERSION = 130_000;

/** pgoutput sends logical messages. https://www.postgresql.org/docs/14/release-14.html */
export const SENDS_MESSAGES = 140_000;
/** Transactions in progress can be streamed (protocol 2). */
export const STREAMS_IN_PROGRESS = 140_000;
/** `client_connection_check_interval`. */
export const CHECKS_CONNECTION = 140_000;
export const HAS_MULTIRANGES = 140_000;

/** A publication filters rows and columns. */
export const HAS_ROW_FILTERS = 150_000;
/** `pg_publication_namespace`. */
export const HAS_SCHEMA_ENTRIES = 150_000;
/** The server takes note of partitions that are attached and detached while it streams (measured). */
export const TELLS_PARTITIONS = 150_000;

/** A grant of a role says itself whether its rights are inherited. https://www.postgresql.org/docs/16/sql-grant.html */
export const GRANTS_INHERIT = 160_000;
/** A partition generates the columns that its root does, and no others (measured). */
export const PARTITIONS_GENERATE_ALIKE = 160_000;

/** Standbys decode, and have slots of their own. https://www.postgresql.org/docs/16/logicaldecoding-explanation.html */
export const STANDBYS_DECODE = 160_000;

/** Slots that are carried over to standbys. */
export const HAS_FAILOVER_SLOTS = 170_000;

/** A generated column in the identity makes updates fail; stored ones can be published. */
export const CHECKS_GENERATED = 180_000;
