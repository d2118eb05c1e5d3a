-- SHA-256, RC4 and AES-256 in counter mode, in Lua alone: what it takes to read the overlay's packets.
-- Texts are Lua strings of bytes. Slow, and not made to keep anything secret: the lab's own keys are all it sees.

local bit = bit or require("bit")
local band, bor, bxor, bnot = bit.band, bit.bor, bit.bxor, bit.bnot
local rshift, lshift, ror, tobit = bit.rshift, bit.lshift, bit.ror, bit.tobit

local spread = unpack or table.unpack

local crypto = {}

-- The first 32 bits of the fractions of the cube roots (constants) and square roots (state) of the first primes
-- (FIPS 180-4, sections 4.2.2 and 5.3.3), computed rather than copied.
local constants, initial = {}, {}
do
  local function fraction(root) return tobit(math.floor((root - math.floor(root)) * 4294967296)) end
  local candidate, found = 2, 0
  while found < 64 do
    local prime = true
    for divisor = 2, math.floor(math.sqrt(candidate)) do
      if candidate % divisor == 0 then prime = false break end
    end
    if prime then
      found = found + 1
      -- One step of Newton makes the library's cube root exact enough for 32 bits of fraction.
      local root = candidate ^ (1 / 3)
      root = root - (root * root * root - candidate) / (3 * root * root)
      constants[found] = fraction(root)
      if found <= 8 then initial[found] = fraction(math.sqrt(candidate)) end
    end
    candidate = candidate + 1
  end
end

local function word(text, at)
  local a, b, c, d = text:byte(at, at + 3)
  return bor(lshift(a, 24), lshift(b, 16), lshift(c, 8), d)
end

local function bytes_of(number)
  return string.char(band(rshift(number, 24), 255), band(rshift(number, 16), 255), band(rshift(number, 8), 255),
    band(number, 255))
end

--- SHA-256 of a text shorter than 2^29 bytes.
function crypto.sha256(text)
  local length = #text
  text = text .. "\128" .. string.rep("\0", (55 - length) % 64) .. "\0\0\0\0" .. bytes_of(length * 8)
  local state = { initial[1], initial[2], initial[3], initial[4], initial[5], initial[6], initial[7], initial[8] }
  for block = 1, #text, 64 do
    local w = {}
    for i = 1, 16 do w[i] = word(text, block + 4 * (i - 1)) end
    for i = 17, 64 do
      local x, y = w[i - 15], w[i - 2]
      local s0 = bxor(ror(x, 7), ror(x, 18), rshift(x, 3))
      local s1 = bxor(ror(y, 17), ror(y, 19), rshift(y, 10))
      w[i] = tobit(w[i - 16] + s0 + w[i - 7] + s1)
    end
    local a, b, c, d, e, f, g, h = state[1], state[2], state[3], state[4], state[5], state[6], state[7], state[8]
    for i = 1, 64 do
      local s1 = bxor(ror(e, 6), ror(e, 11), ror(e, 25))
      local t1 = tobit(h + s1 + bxor(band(e, f), band(bnot(e), g)) + constants[i] + w[i])
      local s0 = bxor(ror(a, 2), ror(a, 13), ror(a, 22))
      local t2 = tobit(s0 + bxor(band(a, b), band(a, c), band(b, c)))
      h, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + t2)
    end
    local worked = { a, b, c, d, e, f, g, h }
    for i = 1, 8 do state[i] = tobit(state[i] + worked[i]) end
  end
  local digest = {}
  for i = 1, 8 do digest[i] = bytes_of(state[i]) end
  return table.concat(digest)
end

--- A keystream of RC4: a function that takes the next bytes and gives them back the other way round.
function crypto.rc4(key)
  local s, i, j = {}, 0, 0
  for n = 0, 255 do s[n] = n end
  for n = 0, 255 do
    j = (j + s[n] + key:byte(n % #key + 1)) % 256
    s[n], s[j] = s[j], s[n]
  end
  j = 0
  return function(text)
    local out = {}
    for n = 1, #text do
      i = (i + 1) % 256
      j = (j + s[i]) % 256
      s[i], s[j] = s[j], s[i]
      out[n] = string.char(bxor(text:byte(n), s[(s[i] + s[j]) % 256]))
    end
    return table.concat(out)
  end
end

-- The S-box of AES (FIPS 197, section 5.1.1): the inverse in GF(2^8), then an affine map.
local sbox = {}
local function double(x)
  x = lshift(x, 1)
  return x > 255 and bxor(x, 0x11b) or x
end
do
  local power, log, x = {}, {}, 1
  for n = 0, 254 do
    power[n], log[x] = x, n
    x = bxor(x, double(x)) -- Times 3, which generates the field.
  end
  for value = 0, 255 do
    local inverse = value == 0 and 0 or power[(255 - log[value]) % 255]
    local out = 0x63
    for turn = 0, 4 do
      out = bxor(out, band(bor(lshift(inverse, turn), rshift(inverse, 8 - turn)), 255))
    end
    sbox[value] = out
  end
end

-- Round keys of AES-256, as 60 words of 4 bytes (FIPS 197, section 5.2).
local function expand(key)
  local w, rcon = {}, 1
  for i = 0, 7 do w[i] = { key:byte(4 * i + 1, 4 * i + 4) } end
  for i = 8, 59 do
    local t = { w[i - 1][1], w[i - 1][2], w[i - 1][3], w[i - 1][4] }
    if i % 8 == 0 then
      t = { bxor(sbox[t[2]], rcon), sbox[t[3]], sbox[t[4]], sbox[t[1]] }
      rcon = double(rcon)
    elseif i % 8 == 4 then
      for n = 1, 4 do t[n] = sbox[t[n]] end
    end
    w[i] = {}
    for n = 1, 4 do w[i][n] = bxor(w[i - 8][n], t[n]) end
  end
  return w
end

local function add_key(state, w, round)
  for column = 0, 3 do
    for row = 1, 4 do
      local at = 4 * column + row
      state[at] = bxor(state[at], w[4 * round + column][row])
    end
  end
end

-- Encrypts 16 bytes.
local function encrypt(w, block)
  local state = { block:byte(1, 16) }
  add_key(state, w, 0)
  for round = 1, 14 do
    local shifted = {}
    for column = 0, 3 do
      for row = 0, 3 do
        shifted[4 * column + row + 1] = sbox[state[4 * ((column + row) % 4) + row + 1]]
      end
    end
    if round < 14 then
      for column = 0, 3 do
        local a, b, c, d = shifted[4 * column + 1], shifted[4 * column + 2], shifted[4 * column + 3],
          shifted[4 * column + 4]
        local all = bxor(a, b, c, d)
        shifted[4 * column + 1] = bxor(a, all, double(bxor(a, b)))
        shifted[4 * column + 2] = bxor(b, all, double(bxor(b, c)))
        shifted[4 * column + 3] = bxor(c, all, double(bxor(c, d)))
        shifted[4 * column + 4] = bxor(d, all, double(bxor(d, a)))
      end
    end
    state = shifted
    add_key(state, w, round)
  end
  return string.char(spread(state))
end

--- AES-256 in counter mode from zero, of a text of at most 2^32 blocks; both ways.
function crypto.aes256_ctr(key, text)
  local w, out = expand(key), {}
  for at = 1, #text, 16 do
    local stream = encrypt(w, string.rep("\0", 12) .. bytes_of((at - 1) / 16))
    for n = at, math.min(at + 15, #text) do
      out[n] = string.char(bxor(text:byte(n), stream:byte(n - at + 1)))
    end
  end
  return table.concat(out)
end

return crypto
