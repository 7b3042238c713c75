// The first byte of each pgoutput message: the decoder and the log both tell messages apart by it.
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html

export const PGOUTPUT = {
  begin: 0x42, // B
  commit: 0x43, // C
  origin: 0x4f, // O
  relation: 0x52, // R
  type: 0x59, // Y
  insert: 0x49, // I
  update: 0x55, // U
  delete: 0x44, // D
  truncate: 0x54, // T
  logicalMessage: 0x4d, // M
} as const;
