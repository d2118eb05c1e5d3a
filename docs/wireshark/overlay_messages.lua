-- The messages of the overlay, as tables: docs/wire-format.md and docs/call.md in a form that a program can follow.
--
-- A field is a name and a kind: "u8", "u16", "u32", "u64", "flag", "nat", "ip", "address", "name", "bytes" (with
-- their length before them), a number (so many bytes), { list = kind }, { optional = fields }, or fields.

local presence = { { "private", "address" }, { "public", "address" }, { "nat", "nat" } }
local certificate = {
  { "user", "name" }, { "key", "bytes" }, { "issued", "u64" }, { "issuer", 4 }, { "signature", "bytes" },
}
local addresses = { list = "address" }
local record = {
  { "certificate", certificate }, { "presence", presence }, { "online", "flag" }, { "logged_in", "u32" },
  { "seen", "u32" }, { "super_nodes", addresses },
}
local member = { { "address", "address" }, { "incarnation", "u32" }, { "dead", "flag" } }
local attachment = {
  { "super_node", "address" }, { "life", "u32" }, { "serial", "u32" }, { "presence", presence },
  { "online", "flag" }, { "logged_in", "u32" }, { "seen", "u32" },
}
local transaction = { "transaction", "u32" }

local messages = {}

messages.datagrams = {
  [0x01] = { "Probe", transaction },
  [0x02] = { "ProbeAnswer", transaction, { "mapped", "address" }, { "load", "u16" } },
  [0x03] = { "ChangeAddress", transaction, { "contacted", { list = "ip" } } },
  [0x04] = { "ChangePort", transaction },
  [0x05] = { "AnswerFor", transaction, { "client", "address" } },
  [0x06] = { "TestAnswer", transaction },
  [0x07] = { "NobodyElse", transaction },
  [0x08] = { "Advertisement", transaction, { "user", "name" }, { "nat", "nat" }, { "private", "address" },
    { "public", "address" }, { "super_node", "address" } },
  [0x09] = { "AdvertisementAnswer", transaction, { "mapped", "address" }, { "hosts", addresses } },
  [0x0a] = { "AdvertisementConfirmation", transaction, { "mapped", "address" } },
  [0x10] = { "Gossip", transaction, { "incarnation", "u32" }, { "members", { list = member } } },
  [0x11] = { "GossipAnswer", transaction, { "incarnation", "u32" }, { "members", { list = member } } },
  [0x12] = { "Replicate", transaction, { "certificate", certificate }, { "attachments", { list = attachment } } },
  [0x13] = { "ReplicateAnswer", transaction },
  [0x14] = { "Lookup", transaction, { "user", "name" } },
  [0x15] = { "LookupAnswer", transaction, { "record", { optional = record } }, { "source", "u8" } },
  [0x20] = { "JoinRelay", transaction, { "ticket", 16 }, { "cookie", 8 } },
  [0x21] = { "RelayCookie", transaction, { "cookie", 8 } },
  [0x22] = { "RelayJoined", transaction },
  [0x23] = { "RelayFull", transaction },
}

messages.to_super_node = {
  [0x20] = { "Hello" },
  [0x21] = { "Register", { "certificate", certificate }, { "presence", presence }, { "signature", "bytes" } },
  [0x22] = { "HostsWanted", { "most", "u8" } },
  [0x23] = { "BuddiesWanted", { "users", { list = "name" } } },
  [0x24] = { "RelaysWanted", { "most", "u8" } },
  [0x25] = { "KeepAlive" },
  [0x30] = { "Search", { "search", "u32" }, { "user", "name" }, { "on_behalf", "flag" } },
  [0x31] = { "SearchReport", { "search", "u32" }, { "known_at", { optional = { { "node", "address" } } } } },
  [0x40] = { "ReachUser", { "user", "name" } },
  [0x41] = { "PassSignal", { "channel", "u32" } },
  [0x42] = { "CloseChannel", { "channel", "u32" } },
  [0x43] = { "JoinRelay", { "ticket", 16 } },
  [0x44] = { "RelayedMedia" },
}

messages.from_super_node = {
  [0x40] = { "Welcome", { "nonce", 8 }, { "observed", "address" } },
  [0x41] = { "Busy" },
  [0x42] = { "Registered" },
  [0x43] = { "RegistrationRefused", { "reason", "u8" } },
  [0x44] = { "Hosts", { "entries", addresses } },
  [0x45] = { "Buddy", { "user", "name" },
    { "entry", { optional = { { "certificate", certificate }, { "presence", presence }, { "online", "flag" } } } } },
  [0x46] = { "Relays", { "entries", addresses } },
  [0x47] = { "StillHere" },
  [0x50] = { "SearchBatch", { "search", "u32" }, { "nodes", addresses } },
  [0x51] = { "SearchResult", { "search", "u32" }, { "record", { optional = record } }, { "source", "u8" },
    { "asked", "u8" } },
  [0xa0] = { "UserReached", { "channel", "u32" } },
  [0xa1] = { "UserNotReached" },
  [0xa2] = { "Reached", { "channel", "u32" } },
  [0xa3] = { "PassedSignal", { "channel", "u32" } },
  [0xa4] = { "ChannelClosed", { "channel", "u32" } },
  [0xa5] = { "RelayJoined" },
  [0xa6] = { "RelayFull" },
  [0xa7] = { "RelayedMedia" },
}

messages.to_login_server = {
  [0x60] = { "RegisterUser", { "block", "bytes" } },
  [0x61] = { "Login", { "key", "bytes" }, { "sealed", "bytes" } },
}

messages.from_login_server = {
  [0x80] = { "Greeting", { "nonce", 16 } },
  [0x81] = { "Answer", { "sealed", "bytes" } },
}

-- From one end of a call to the other; what follows the names is signed or sealed, and left as it is.
messages.signals = {
  [0x40] = { "SignalGreeting", { "nonce", 16 } },
  [0x41] = { "Invite", { "callee", "name" }, { "certificate", certificate }, { "presence", presence },
    { "relays", addresses } },
  [0x42] = { "Ringing", { "certificate", certificate }, { "presence", presence }, { "relays", addresses } },
  [0x43] = { "Rejected", { "reason", "u8" } },
  [0x44] = { "Sealed", { "number", "u32" } },
}

-- What is inside of what is sealed between client and login server.
messages.registration = { { "nonce", 16 }, { "answer_key", 32 }, { "user", "name" }, { "password_hash", 32 } }
messages.credentials = { { "nonce", 16 }, { "client_key", "bytes" }, { "user", "name" }, { "password_hash", 32 } }
messages.certificate = certificate

messages.outcomes = {
  [0] = "registered", "certified", "name taken", "unknown user", "wrong password", "replayed", "no room",
}
messages.nats = {
  [0] = "open", "symmetric UDP firewall", "full cone", "restricted cone", "port restricted", "symmetric",
  "UDP blocked",
}

return messages
