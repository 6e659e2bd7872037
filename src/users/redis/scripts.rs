//! What has to happen at once in Redis, as scripts for one user's slot.

use redis::{Cmd, Script, cmd};

/// Appends events to a user's log, those excepted whose names it has.
///
/// The user's hash has the fields `log`, `n` (events ever recorded), `k` (events kept), `b` (drawn when the history began), `gone` (set where a
/// bundle's history of the user is hidden), and one `e:ENCODER:VERSION` for each stored embedding. A record of the log is 3 bytes, of which the
/// last two are the length of the rest, the first 16 of which are the name and the next 8 the time.
///
/// Keys: the user's hash. Arguments: what `b` becomes where it is not set, how many events are kept, then records. Answers how many were new.
pub(super) const RECORD: &str = r"
local function length(log, at)
  local low, high = string.byte(log, at + 1, at + 2)
  if not high then return nil end
  return 3 + low + 256 * high
end
local function has(log, name)
  if not string.find(log, name, 1, true) then return false end
  local at = 1
  while at <= #log do
    local long = length(log, at)
    if not long then return false end
    if string.sub(log, at + 3, at + 18) == name then return true end
    at = at + long
  end
  return false
end
local held = redis.call('HMGET', KEYS[1], 'log', 'n', 'k', 'b')
local log, n, kept = held[1] or '', tonumber(held[2] or '0'), tonumber(held[3] or '0')
local most, new = tonumber(ARGV[2]), 0
for i = 3, #ARGV do
  local name = string.sub(ARGV[i], 4, 19)
  if not has(log, name) then
    log = log .. ARGV[i]
    new = new + 1
  end
end
if new == 0 then return 0 end
kept = kept + new
if kept > most + math.floor(most / 8) then
  local records, at = {}, 1
  while at <= #log do
    local long = length(log, at)
    if not long or at + long - 1 > #log then break end
    records[#records + 1] = { time = struct.unpack('<i8', string.sub(log, at + 19, at + 26)), at = at, long = long }
    at = at + long
  end
  local by_time = {}
  for i, record in ipairs(records) do by_time[i] = record end
  table.sort(by_time, function(a, b)
    if a.time ~= b.time then return a.time > b.time end
    return a.at > b.at
  end)
  for i = most + 1, #by_time do by_time[i].gone = true end
  local parts = {}
  for _, record in ipairs(records) do
    if not record.gone then parts[#parts + 1] = string.sub(log, record.at, record.at + record.long - 1) end
  end
  log, kept = table.concat(parts), #parts
end
redis.call('HSET', KEYS[1], 'log', log, 'n', n + new, 'k', kept)
if not held[4] then redis.call('HSET', KEYS[1], 'b', ARGV[1]) end
return new
";

/// Stores an embedding, unless its history is another one by now.
///
/// Keys: the user's hash, the embedding, the lease. Arguments: `b` and `n` of the history that it was made of, the value, its time to live in
/// milliseconds, the field that speaks of it. Answers whether it was stored.
pub(super) const KEEP: &str = r"
local held = redis.call('HMGET', KEYS[1], 'b', 'n')
redis.call('DEL', KEYS[3])
if (held[1] or '') ~= ARGV[1] or tonumber(held[2] or '0') < tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
if redis.call('HEXISTS', KEYS[1], ARGV[5]) == 0 then redis.call('HSET', KEYS[1], ARGV[5], '1') end
return 1
";

/// Erases a user, unless there are embeddings that the keys do not name.
///
/// Keys: the user's hash, then embeddings. Arguments: what `b` becomes where a bundle's history has to be hidden, whether it has to be (`1`),
/// then the fields that speak of the embeddings. Answers how many events and embeddings were erased, or -1 where there are more.
pub(super) const ERASE: &str = r"
local known = {}
for i = 3, #ARGV do known[ARGV[i]] = true end
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 2) == 'e:' and not known[field] then return {-1, 0} end
end
local held = redis.call('HMGET', KEYS[1], 'k', 'gone')
redis.call('DEL', KEYS[1])
local embeddings = 0
for i = 2, #KEYS do embeddings = embeddings + redis.call('DEL', KEYS[i]) end
if ARGV[2] == '1' or held[2] then redis.call('HSET', KEYS[1], 'gone', '1', 'b', ARGV[1]) end
return {tonumber(held[1] or '0'), embeddings}
";

/// A script with its name in Redis.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) record: Named,
    pub(super) keep: Named,
    pub(super) erase: Named,
}

/// A script and the SHA-1 that Redis knows it by.
#[derive(Debug)]
pub(super) struct Named {
    source: &'static str,
    sha1: String,
}

impl Named {
    fn new(source: &'static str) -> Self {
        Self { source, sha1: Script::new(source).get_hash().to_owned() }
    }

    /// Calls the script by its name, or, where Redis does not know it yet, by its source.
    pub(super) fn call(&self, known: bool, keys: &[&str], arguments: &[&[u8]]) -> Cmd {
        let mut call = match known {
            true => cmd("EVALSHA"),
            false => cmd("EVAL"),
        };
        call.arg(if known { &self.sha1 } else { self.source });
        call.arg(keys.len()).arg(keys).arg(arguments);
        call
    }
}

impl Default for Scripts {
    fn default() -> Self {
        Self { record: Named::new(RECORD), keep: Named::new(KEEP), erase: Named::new(ERASE) }
    }
}
