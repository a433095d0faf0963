-- ---- data of an older schema ------------------------------------------------------------------------------------------

-- Schema 1 had one queue for all tiers, and neither loads nor counts per user. The first call that writes moves every
-- active job to its present place, once.
function upgrade()
    for _, user in ipairs(call('ZRANGE', P .. 'users', 0, -1)) do
        local queue = P .. 'queue:' .. user
        for _, lane in ipairs(call('ZRANGE', queue, 0, -1)) do call('DEL', queue .. ':' .. lane) end
        call('DEL', queue)
        call('ZADD', P .. 'turns', call('ZSCORE', P .. 'users', user), user)
    end
    local flat = call('HGETALL', P .. 'vtime')
    for i = 1, #flat, 2 do call('ZADD', P .. 'turns', 'NX', flat[i + 1], flat[i]) end
    call('DEL', P .. 'users', P .. 'vtime')
    for _, id in ipairs(call('ZRANGE', P .. 'jobs', 0, -1)) do -- each gets a row; images may change now, so not in about
        local about = job_get(id, 'about')
        if about then job_set(id, 'about', (about:gsub('"images":%d+,?', ''):gsub('"n":%d+,?', ''):gsub(',$', ''))) end
    end
    for _, id in ipairs(call('ZRANGE', P .. 'active', 0, -1)) do
        local user, kind, model, device, images, done, bad, text = job_get(id, 'user', 'kind', 'model', 'device',
            'images', 'done', 'bad', 'needs')
        local needs = {}
        for need in text:gmatch('%S+') do needs[#needs + 1] = need end
        job_set(id, 'tier', 1, 'rank', 1, 'after_failed', 'fail',
            'lane', lane_of(needs, device, model, kind .. ' ' .. model))
        if counted(kind) then owe(user, images - done - bad) end
        if images == '0' then job_set(id, 'report', 0) end -- its one range was the report and is the survey now
        for _, token in ipairs(call('SMEMBERS', job_key(id, 'leases'))) do
            call('HSET', lease_key(token), 'user', user, 'kind', kind, 'rank', 1)
            call('HINCRBY', P .. 'busy', user, 1)
        end
        place(id)
    end
    call('HSET', P .. 'meta', 'schema', SCHEMA)
end

