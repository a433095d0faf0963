-- ---- what users may have ---------------------------------------------------------------------------------------------

--- ddq_share {user?, weight?} -> {users[]}
--- Who has had how much: {user, weight, ahead_ms, runnable}, who is next first; or that of one user. With user and weight
--- (0.01..1000; everybody has 1) it sets how much of the machines this user gets.
function F.share(a)
    local user, weight = text_arg(a, 'user', NAME, true), given(a, 'weight')
    if weight ~= nil then
        if type(weight) ~= 'number' or weight < 0.01 or weight > 1000 then
            refuse('usage', 'weight is ' .. shown(weight) .. ', wanted a number from 0.01 to 1000')
        end
        call('HSET', P .. 'weights', text_arg(a, 'user', NAME), weight)
    end
    local users, floor, known = list(), tonumber(call('GET', P .. 'floor') or 0), {}
    local function add(name, vtime, runnable)
        if known[name] or (user and name ~= user) then return end
        known[name] = true
        users[#users + 1] = {user = name, weight = weight_of(name), ahead_ms = math.floor(vtime - floor),
            runnable = runnable}
    end
    local queued = call('ZRANGE', P .. 'users', 0, 999, 'WITHSCORES')
    for i = 1, #queued, 2 do add(queued[i], tonumber(queued[i + 1]), true) end
    for _, key in ipairs({'weights', 'vtime'}) do
        for _, name in ipairs(call('HKEYS', P .. key)) do
            add(name, math.max(floor, tonumber(call('HGET', P .. 'vtime', name) or 0)), false)
        end
    end
    return {users = users}
end
