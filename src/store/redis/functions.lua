#!lua name=matrix_smpp_2

-- The functions of one store. All of its keys share a hash tag, so that each call is one atomic step of
-- one primary. Rows are octets that nothing here looks into: no amount ever is a number of Lua.
--
-- Who owns the store has the epoch that was given out last. A change in the name of an older one is
-- refused: its owner was away for too long and another one has taken over.
--
-- Each commit names the one before it, and each reading the last that is known. A replica that became the primary
-- before it had them all says which was its last: nothing is built on a gap.

-- Refuses a change in the name of an epoch that is over.
local function over(epoch_key, epoch)
  if redis.call('GET', epoch_key) ~= epoch then
    return redis.error_reply('NOTOWNER another instance has taken the store over')
  end
end

-- The number of the last commit; empty before the first.
local function latest(key)
  return redis.call('GET', key) or ''
end

-- Says how the others reach the owner. It counts only while the key of the owner has the same epoch: so
-- it ends with the ownership, and no commit has to renew it.
local function advertise(door_key, epoch, at)
  redis.call('HSET', door_key, 'epoch', epoch, 'at', at)
end

-- KEYS: owner, epoch, door, number of the last commit.
-- ARGV: time to live in ms, how the others reach the new owner, its name.
-- Gives the new epoch and the number of the last commit; or 0 while the last owner may still be alive, and
-- how that is reached ('' where it does not tell).
-- The name keeps epochs apart where a replica became the primary before it knew the last one.
local function take_over(keys, args)
  local owner = redis.call('GET', keys[1])
  if owner then
    local door = redis.call('HMGET', keys[3], 'epoch', 'at')
    return { '0', door[1] == owner and door[2] or '' }
  end
  local last = string.match(redis.call('GET', keys[2]) or '0', '^%d+')
  local epoch = string.format('%d-%s', tonumber(last) + 1, args[3])
  redis.call('SET', keys[2], epoch)
  redis.call('SET', keys[1], epoch, 'PX', args[1])
  advertise(keys[3], epoch, args[2])
  return { epoch, latest(keys[4]) }
end

-- KEYS: owner, epoch, door. ARGV: epoch, time to live in ms, how the others reach the owner.
local function keep(keys, args)
  local refused = over(keys[2], args[1])
  if refused then return refused end
  redis.call('SET', keys[1], args[1], 'PX', args[2])
  if redis.call('HGET', keys[3], 'epoch') ~= args[1] then
    advertise(keys[3], args[1], args[3])
  end
  return redis.status_reply('OK')
end

-- KEYS: owner, epoch. ARGV: epoch.
local function give_up(keys, args)
  local refused = over(keys[2], args[1])
  if refused then return refused end
  redis.call('DEL', keys[1])
  return redis.status_reply('OK')
end

-- KEYS: owner, epoch, number of the last commit, then tables.
-- ARGV: epoch, time to live in ms, number of this commit and of the one before it, then for each table:
-- its kind ('hash' or 'sorted'), how many arguments set rows, how many delete rows, and those arguments.
-- All or nothing: everything that could fail is checked before the first write.
-- Gives the number of the last commit where that is neither this one nor the one before it.
local function commit(keys, args)
  local refused = over(keys[2], args[1])
  if refused then return refused end
  local last = latest(keys[3])
  if last == args[3] then
    -- A write, so that who waits for replicas on this connection waits for this commit.
    redis.call('SET', keys[1], args[1], 'PX', args[2])
    return redis.status_reply('REPEATED')
  elseif last ~= args[4] then
    return last
  end
  for k = 4, #keys do
    local kind = redis.call('TYPE', keys[k]).ok
    if kind ~= 'none' and kind ~= 'hash' and kind ~= 'zset' then
      return redis.error_reply('WRONGTYPE ' .. keys[k] .. ' is not ours')
    end
  end
  local at = 5
  -- Lua hands over some thousand arguments at most.
  local function each(command, key, count)
    while count > 0 do
      local now = math.min(count, 4000)
      redis.call(command, key, unpack(args, at, at + now - 1))
      at = at + now
      count = count - now
    end
  end
  for k = 4, #keys do
    local sorted = args[at] == 'sorted'
    local sets, deletes = tonumber(args[at + 1]), tonumber(args[at + 2])
    at = at + 3
    each(sorted and 'ZADD' or 'HSET', keys[k], sets)
    each(sorted and 'ZREM' or 'HDEL', keys[k], deletes)
  end
  redis.call('SET', keys[3], args[3])
  redis.call('SET', keys[1], args[1], 'PX', args[2])
  return redis.status_reply('OK')
end

-- Whether nothing is missing of what an owner knows: the last commit is the one that it found, where it
-- has made none, or one of its own that is not older than its last.
local function is_whole(last, found, epoch, count)
  if count == '0' and last == found then return true end
  local of, number = string.match(last, '^(.*):(%d+)$')
  return of == epoch and tonumber(number) >= tonumber(count)
end

-- KEYS: number of the last commit, then tables.
-- ARGV: that number as the owner found it, its epoch, how many commits it has made, then for each table
-- how many rows, and their keys.
-- Gives a list of rows for each table, or the number of the last commit where some are missing.
local function read(keys, args)
  local last = latest(keys[1])
  if not is_whole(last, args[1], args[2], args[3]) then return last end
  local found, at = {}, 4
  for k = 2, #keys do
    local count = tonumber(args[at])
    found[k - 1] = redis.call('HMGET', keys[k], unpack(args, at + 1, at + count))
    at = at + 1 + count
  end
  return found
end

redis.register_function('matrix_smpp_take_over_2', take_over)
redis.register_function('matrix_smpp_keep_2', keep)
redis.register_function('matrix_smpp_give_up_2', give_up)
redis.register_function('matrix_smpp_commit_2', commit)
redis.register_function{
  function_name = 'matrix_smpp_read_2', callback = read, flags = {'no-writes'}
}
