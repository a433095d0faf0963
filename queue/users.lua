-- ---- quotas, weights, settings ---------------------------------------------------------------------------------------

-- Only administrators change what others get: root, the members of the group that ddqd's gate knows, and the users that
-- the setting names.
local function admin_arg(a)
    local by = text_arg(a, 'by', NAME)
    if is_admin(by) or listed_admin(by) then return end
    refuse('permission', by .. ' may not change this; only root, the administrators of this host and the admins of ' ..
        'ddq settings may')
end

-- One user's row for ddq_share and ddq_quota.
local function user_row(name, time, quotas, floor)
    local vtime, runnable = turn_get(name), call('EXISTS', queue_key(0, name), queue_key(1, name), queue_key(2, name)) > 0
    local row = {user = name, weight = weight_of(name), runnable = runnable,
        ahead_ms = math.floor(math.max(vtime or floor, runnable and -math.huge or floor) - floor),
        used_ms = math.floor(used_ms(name, time)), workers = tonumber(call('HGET', P .. 'busy', name) or 0),
        queued = tonumber(call('HGET', P .. 'owed', name) or 0),
        day = tonumber(call('HGET', made_key(time), name) or 0),
        interactive_ms = math.floor(urgent_ms(name, time, setting('interactive_ms')))}
    local limits = {}
    for kind in pairs(QUOTAS) do limits[kind] = quota(quotas, name, kind) end
    row.quota = limits
    return row
end

-- The users to list: one, or all with work, a weight, a quota or recent usage; the next one first.
local function user_rows(user)
    local names, known, rows, time, quotas, floor = {}, {}, list(), now(), quotas_get(), floor_get()
    local function add(name)
        if not known[name] and #names < 1000 and name ~= '*' and (not user or name == user) then
            known[name] = true
            names[#names + 1] = name
        end
    end
    for _, name in ipairs(call('ZRANGE', P .. 'turns', 0, 999)) do add(name) end
    for _, key in ipairs({'weights', 'usage', 'busy', 'owed'}) do
        for _, name in ipairs(call('HKEYS', P .. key)) do add(name) end
    end
    for field in pairs(quotas) do add(field:match('^%S+')) end
    local is_known = user and (known[user] or call('EXISTS', P .. 'jobs:' .. user) == 1)
    if user then add(user) end
    for i = 1, #names do
        rows[i] = user_row(names[i], time, quotas, floor)
        rows[i].known = not user or is_known == true
    end
    return rows
end

--- ddq_share {user?, weight?, by?} -> {users[]}
--- Usage per user, the next user first, or of one user: {user, weight, ahead_ms, runnable, used_ms, interactive_ms,
--- workers, queued, day, quota{}, known}. known: the user has had jobs, a weight or a quota. ahead_ms: virtual time ahead of the floor; used_ms: recent usage, halving every
--- half-life; interactive_ms: interactive work of this hour; workers: busy now; queued: images still to be made;
--- day: images claimed today (UTC). With user and weight (0.01..1000; default 1) the administrator `by` sets the
--- user's weight.
function F.share(a)
    local user, weight = text_arg(a, 'user', NAME, true), given(a, 'weight')
    if weight ~= nil then
        if type(weight) ~= 'number' or weight < 0.01 or weight > 1000 then
            refuse('usage', 'weight is ' .. shown(weight) .. ', wanted a number from 0.01 to 1000')
        end
        text_arg(a, 'user', NAME)
        admin_arg(a)
        call('HSET', P .. 'weights', user, weight)
    end
    return {users = user_rows(user)}
end

--- ddq_quota {user?, workers?, queued?, day?, by?} -> {users[], everybody{}}
--- Quotas per user: workers at a time, images queued, images per day (UTC). Rows as in ddq_share. With user ("*":
--- default for users without their own quota) and numbers the administrator `by` sets them; -1 removes a quota. A
--- submit that exceeds queued is refused; the other two make jobs wait.
function F.quota(a)
    local everybody = given(a, 'user') == '*'
    local user, changes = not everybody and text_arg(a, 'user', NAME, true) or nil, {}
    for name, most in pairs(QUOTAS) do
        if given(a, name) ~= nil then changes[name] = number_arg(a, name, -1, most) end
    end
    if next(changes) then
        admin_arg(a)
        if not everybody then text_arg(a, 'user', NAME) end
        if call('HLEN', P .. 'quotas') >= 3000 then refuse('refused', '1,000 users already have quotas; remove some') end
    end
    for name, value in pairs(changes) do
        local field = (everybody and '*' or user) .. ' ' .. name
        if value < 0 then call('HDEL', P .. 'quotas', field) else call('HSET', P .. 'quotas', field, int(value)) end
    end
    local quotas, all = quotas_get(), {}
    for name in pairs(QUOTAS) do all[name] = quotas['* ' .. name] end
    return {users = everybody and list() or user_rows(user), everybody = all}
end

--- ddq_settings {aging_ms?, interactive_ms?, slack_ms?, half_life_ms?, same_ms?, admins[]?, by?} -> {the same}
--- Settings that an administrator may change. aging_ms: a job that waits this long moves up one tier (0: never);
--- interactive_ms: interactive work per user and hour; slack_ms: virtual time by which a job with a warm model may
--- go first; half_life_ms: half-life of recorded usage; same_ms: how long a repeated spec counts as the same job;
--- admins: users besides root who may change settings, weights and quotas.
function F.settings(a)
    local changes = {}
    for name in pairs(SETTINGS) do
        if given(a, name) ~= nil then
            changes[name] = int(number_arg(a, name, name == 'aging_ms' and 0 or 1, 365 * DAY_MS))
        end
    end
    if given(a, 'admins') ~= nil then
        local names = list_arg(a, 'admins', 100)
        for i = 1, #names do text_arg({['admins ' .. i] = names[i]}, 'admins ' .. i, NAME) end
        changes.admins = table.concat(names, ' ')
    end
    if next(changes) then admin_arg(a) end
    for name, value in pairs(changes) do call('HSET', P .. 'settings', name, value) end
    memo.settings = nil
    local answer = {admins = list()}
    for name in pairs(SETTINGS) do answer[name] = setting(name) end
    for name in (call('HGET', P .. 'settings', 'admins') or ''):gmatch('%S+') do
        answer.admins[#answer.admins + 1] = name
    end
    return answer
end

