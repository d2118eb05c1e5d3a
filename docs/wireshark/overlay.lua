-- Wireshark dissector of the overlay (docs/wire-format.md). How to use it, and what it does not read:
-- docs/wireshark/README.md.

local here = __DIR__ or ""
if here ~= "" and not here:match("[/\\]$") then here = here .. "/" end
local crypto = dofile(here .. "overlay_crypto.lua")
local messages = dofile(here .. "overlay_messages.lua")

local HEADER, SEED, MOST = 4, 4, 2048

local overlay = Proto("overlay", "Overlay of the lab")
overlay.prefs.keys = Pref.string("Session keys", "", "File that 'labctl keys' wrote")

local f = overlay.fields
f.seed = ProtoField.bytes("overlay.seed", "Seed of the keystream")
f.version = ProtoField.uint8("overlay.version", "Format version")
f.type = ProtoField.uint8("overlay.type", "Type", base.HEX)
f.message = ProtoField.string("overlay.message", "Message")
f.length = ProtoField.uint16("overlay.length", "Length of the body")
f.transaction = ProtoField.uint32("overlay.transaction", "Transaction", base.HEX)
f.user = ProtoField.string("overlay.user", "User")
f.nat = ProtoField.uint8("overlay.nat", "NAT type", base.DEC, messages.nats)
f.outcome = ProtoField.uint8("overlay.outcome", "Outcome", base.DEC, messages.outcomes)
f.decrypted = ProtoField.bytes("overlay.decrypted", "Decrypted")
local expert = ProtoExpert.new("overlay.malformed", "Malformed message", expert.group.MALFORMED, expert.severity.WARN)
overlay.experts = { expert }

local tcp_stream, tcp_sequence = Field.new("tcp.stream"), Field.new("tcp.seq")

-- Keys by the first 16 bytes, in hexadecimal, of the block that brought them. Read once for each file.
local keys = {}
local function unhex(text) return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)) end
local function read_keys()
  keys = {}
  if overlay.prefs.keys == "" then return end
  local file = io.open(overlay.prefs.keys)
  if not file then
    report_failure("overlay: cannot read the session keys in " .. overlay.prefs.keys)
    return
  end
  for line in file:lines() do
    local kind, id, text, request, answer = line:match("^(%u+) (%x+) (%x+) ([%x-]+) (%x+)$")
    if kind then
      keys[id] = { text = unhex(text), request = request ~= "-" and unhex(request), answer = unhex(answer) }
    end
  end
  file:close()
end

local function hex(text) return (text:gsub(".", function(byte) return string.format("%02x", byte:byte()) end)) end

-- Connections by their numbers: what each direction has sent, and the messages that end in each packet.
local connections, complete = {}, {}
function overlay.init()
  connections, complete = {}, {}
  read_keys()
end

-- Adds the fields of a message to the tree, and gives the place behind the last one. Fails with an error beyond the end.
local add_fields
local function add_one(tree, buffer, at, name, kind)
  local function take(length) return buffer(at, length), at + length end
  if type(kind) == "number" then
    local range, next = take(kind)
    tree:add(range, name .. ": " .. tostring(range:bytes()):lower())
    return next
  elseif type(kind) == "table" and kind.list then
    local count = buffer(at, 1):uint()
    local below = tree:add(buffer(at), name .. ": " .. count)
    at = at + 1
    for n = 1, count do at = add_one(below, buffer, at, tostring(n), kind.list) end
    return at
  elseif type(kind) == "table" and kind.optional then
    local there = buffer(at, 1):uint() == 1
    if not there then
      tree:add(buffer(at, 1), name .. ": none")
      return at + 1
    end
    return add_fields(tree:add(buffer(at), name), buffer, at + 1, kind.optional)
  elseif type(kind) == "table" then
    return add_fields(tree:add(buffer(at), name), buffer, at, kind)
  elseif kind == "name" then
    local length = buffer(at, 1):uint()
    local text = buffer(at + 1, length)
    local item = (name == "user" or name == "callee") and tree:add(f.user, text) or tree:add(text, "")
    if name ~= "user" then item:set_text(name .. ": " .. text:string()) end
    return at + 1 + length
  elseif kind == "bytes" then
    local length = buffer(at, 2):uint()
    if length > 0 then buffer(at + 2, length) end -- They must be there.
    tree:add(buffer(at, 2 + length), name .. ": " .. length .. " bytes")
    return at + 2 + length
  elseif kind == "address" then
    tree:add(buffer(at, 6), name .. ": " .. tostring(buffer(at, 4):ipv4()) .. ":" .. buffer(at + 4, 2):uint())
    return at + 6
  elseif kind == "ip" then
    tree:add(buffer(at, 4), name .. ": " .. tostring(buffer(at, 4):ipv4()))
    return at + 4
  elseif kind == "nat" then
    tree:add(f.nat, buffer(at, 1))
    return at + 1
  elseif kind == "u64" then
    tree:add(buffer(at, 8), name .. ": " .. tostring(buffer(at, 8):uint64()))
    return at + 8
  end
  local range, next = take(({ u8 = 1, flag = 1, u16 = 2, u32 = 4 })[kind])
  if name == "transaction" then
    tree:add(f.transaction, range)
  else
    tree:add(range, name .. ": " .. range:uint())
  end
  return next
end

function add_fields(tree, buffer, at, fields, first)
  for n = first or 1, #fields do at = add_one(tree, buffer, at, fields[n][1], fields[n][2]) end
  return at
end

local function buffer_of(text, name) return ByteArray.new(text, true):tvb(name) end

-- What was sealed and the lab's keys open.
local function add_opened(tree, opened)
  local buffer = buffer_of(opened.text, opened.name)
  local below = tree:add(f.decrypted, buffer(), opened.text):set_text("Decrypted: " .. opened.name)
  if opened.outcome then
    below:add(f.outcome, buffer(0, 1))
    if buffer(0, 1):uint() == 1 then add_fields(below, buffer, 1, messages.certificate) end
  elseif opened.fields then
    add_fields(below, buffer, 0, opened.fields)
  end
end

-- One message under a tree; its frame is in clear text.
local function add_message(tree, pinfo, message)
  local buffer = buffer_of(message.frame, message.name)
  local below = tree:add(overlay, buffer())
  below:set_text("Overlay: " .. message.name)
  below:add(f.version, buffer(0, 1))
  below:add(f.type, buffer(1, 1))
  below:add(f.message, message.name):set_generated()
  below:add(f.length, buffer(2, 2))
  local fine, at = pcall(add_fields, below, buffer, HEADER, message.fields, 2)
  if not fine then
    below:add_proto_expert_info(expert, "the body is shorter than its fields")
  elseif at < buffer:len() then
    below:add(buffer(at), "signed, sealed or encrypted: " .. (buffer:len() - at) .. " bytes")
  end
  for _, opened in ipairs(message.opened or {}) do
    if not pcall(add_opened, below, opened) then
      below:add_proto_expert_info(expert, "what was decrypted has another form")
    end
  end
end

local function show(pinfo, tree, list)
  pinfo.cols.protocol = "OVERLAY"
  local names = {}
  for _, message in ipairs(list) do
    add_message(tree, pinfo, message)
    local sealed = message.opened and #message.opened > 0 and " (decrypted)" or ""
    names[#names + 1] = message.name .. sealed
  end
  pinfo.cols.info = table.concat(names, ", ")
end

local function frame_length(text, set)
  if #text < HEADER then return nil end
  local version, kind, high, low = text:byte(1, 4)
  local length = high * 256 + low
  if version ~= 1 or length > MOST or (set and not set[kind]) then return nil end
  return HEADER + length, kind
end

-- Datagrams: a seed, then one frame.
local function datagram(buffer, pinfo, tree)
  if buffer:len() < SEED + HEADER or buffer:len() > 1200 then return false end
  local seed = buffer:raw(0, SEED)
  local stream = crypto.rc4(crypto.sha256(seed):sub(1, 16))
  -- The header tells whether it is one of ours, before all of it is read.
  local head = stream(buffer:raw(SEED, HEADER))
  local length, kind = frame_length(head, messages.datagrams)
  if length ~= buffer:len() - SEED then return false end
  local rest = length > HEADER and stream(buffer:raw(SEED + HEADER)) or ""
  local fields = messages.datagrams[kind]
  tree:add(f.seed, buffer(0, SEED))
  show(pinfo, tree, { { name = fields[1], fields = fields, frame = head .. rest } })
  return true
end

-- Which messages a direction speaks, by the first message of the connection: who sends it, and what it is.
local function speaks(connection, direction, kind, length)
  if not connection.kind then
    if kind == 0x80 then
      connection.kind, connection.server = "login", direction
    elseif kind == 0x40 and length == HEADER + 16 then
      connection.kind, connection.server = "signals", direction
    elseif messages.to_super_node[kind] then
      connection.kind, connection.client = "super", direction
    else
      return nil
    end
  end
  if connection.kind == "signals" then return messages.signals end
  local from_client = connection.client and connection.client == direction
    or connection.server and connection.server ~= direction
  if connection.kind == "login" then
    return from_client and messages.to_login_server or messages.from_login_server
  end
  return from_client and messages.to_super_node or messages.from_super_node
end

local function sealed_in(frame, skip)
  local high, low = frame:byte(skip + 1, skip + 2)
  return frame:sub(skip + 3, skip + 2 + high * 256 + low), skip + 2 + high * 256 + low
end

-- Opens what a message between client and login server seals, if there are keys for it.
local function open(connection, message, kind)
  local opened = {}
  if kind == 0x60 or kind == 0x61 then
    local block, behind = sealed_in(message.frame, HEADER)
    connection.keys = keys[hex(block:sub(1, 16))]
    if connection.keys and kind == 0x60 then
      opened[1] = { name = "registration", text = connection.keys.text, fields = messages.registration }
    elseif connection.keys then
      opened[1] = { name = "session key", text = connection.keys.text, fields = { { "session_key", 32 } } }
      local text = crypto.aes256_ctr(connection.keys.request, (sealed_in(message.frame, behind)):sub(1, -17))
      opened[2] = { name = "credentials", text = text, fields = messages.credentials }
    end
  elseif kind == 0x81 and connection.keys then
    local text = crypto.aes256_ctr(connection.keys.answer, (sealed_in(message.frame, HEADER)):sub(1, -17))
    opened[1] = { name = "outcome", text = text, outcome = true }
  end
  message.opened = opened
end

-- Takes the next bytes of a direction; gives the messages that end in them, nil if they are none of ours.
local function take(connection, direction, state, text)
  if not state.stream then
    state.seed = (state.seed or "") .. text
    if #state.seed < SEED then return {} end
    state.stream = crypto.rc4(crypto.sha256(state.seed:sub(1, SEED)):sub(1, 16))
    text = state.seed:sub(SEED + 1)
    state.unread = ""
  end
  state.unread = state.unread .. state.stream(text)
  local list = {}
  while #state.unread >= HEADER do
    local length, kind = frame_length(state.unread)
    local set = length and speaks(connection, direction, kind, length)
    local fields = set and set[kind]
    if not fields then return nil end
    if #state.unread < length then break end
    local message = { name = fields[1], fields = fields, frame = state.unread:sub(1, length) }
    state.unread = state.unread:sub(length + 1)
    if connection.kind == "login" then open(connection, message, kind) end
    list[#list + 1] = message
  end
  return list
end

-- Connections: each direction begins with a seed; frames follow without gaps.
local function segment(buffer, pinfo, tree)
  local number, sequence = tcp_stream(), tcp_sequence()
  if not number or buffer:len() == 0 then return false end
  local place = pinfo.number .. "/" .. number.value
  if not pinfo.visited and complete[place] == nil then
    local connection = connections[number.value]
    if not connection then
      connection = {}
      connections[number.value] = connection
    end
    local direction = tostring(pinfo.src) .. ":" .. pinfo.src_port
    local state = connection[direction]
    if not state then
      state = { next = sequence.value, waiting = {} }
      connection[direction] = state
    end
    complete[place] = false
    if not state.foreign then
      state.waiting[sequence.value] = buffer:raw()
      local list = {}
      repeat
        local moved = false
        for start, text in pairs(state.waiting) do
          local known = state.next - start
          if known >= 0 then
            state.waiting[start] = nil
            if known < #text then
              state.next = start + #text
              local more = take(connection, direction, state, text:sub(known + 1))
              if not more then state.foreign = true break end
              for _, message in ipairs(more) do list[#list + 1] = message end
            end
            moved = true
            break
          end
        end
      until not moved or state.foreign
      if not state.foreign or #list > 0 then complete[place] = list end
    end
  end
  local list = complete[place]
  if not list then return false end
  pinfo.conversation = overlay
  if #list == 0 then
    pinfo.cols.protocol = "OVERLAY"
    tree:add(overlay, buffer()):set_text("Overlay: part of a message, or sent again")
  else
    show(pinfo, tree, list)
  end
  return true
end

function overlay.dissector(buffer, pinfo, tree)
  if pinfo.port_type == 2 then return segment(buffer, pinfo, tree) and buffer:len() or 0 end
  return datagram(buffer, pinfo, tree) and buffer:len() or 0
end

overlay:register_heuristic("udp", datagram)
overlay:register_heuristic("tcp", segment)
