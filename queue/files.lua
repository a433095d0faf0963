-- ---- the files behind the names of a job -------------------------------------------------------------------------------
-- The same spec is the same job only while the files behind its names are the same. Heartbeats have a hash for each file
-- behind what a host offers; a job keeps the hashes of what it was made from: at its first claim what the claiming host
-- saw, then what its workers read (ddq_finish). A file whose hash is not known is not the same.

local SLACK_MS = 2 -- the times of a look are whole ms of two clocks

-- Field -> hash of what a job reads on a host, by the `files` of its heartbeat; nil where the host does not tell all of it.
-- inputs: the job's own paths by field, as JSON.
function files_seen(files, needs, inputs)
    local seen = {}
    for need in needs:gmatch('%S+') do
        if type(files[need]) ~= 'table' then return nil end
        for field, hash in pairs(files[need]) do seen[field] = hash end
    end
    for field, path in pairs(inputs and decode(inputs) or {}) do
        local at = files['path:' .. path]
        if type(at) ~= 'table' then return nil end
        seen[field] = at.path
    end
    return seen
end

-- What a worker read: an object of short texts, as JSON with its fields in order; nil where there is none.
function files_arg(a, name)
    local files, parts = given(a, name), {}
    if type(files) ~= 'table' then return nil end
    for field, hash in pairs(files) do
        if type(field) == 'string' and field:match('^[a-z_]+$') and #field <= 20 and type(hash) == 'string' and
            not hash:find('%c') and #hash <= 1000 and #parts < 32 then
            parts[#parts + 1] = encode(field) .. ':' .. encode(hash)
        end
    end
    table.sort(parts)
    return #parts > 0 and '{' .. table.concat(parts, ',') .. '}' or nil
end

-- The job's own paths: {noise, labels, images}, as JSON.
function inputs_arg(a)
    local inputs, parts = given(a, 'inputs'), {}
    if inputs == nil then return nil end
    if type(inputs) ~= 'table' then refuse('usage', 'inputs is ' .. shown(inputs) .. ', wanted an object of paths') end
    for field in pairs(inputs) do
        if type(field) ~= 'string' or not field:match(WORD[1]) or #parts >= 16 then
            refuse('usage', 'inputs has ' .. shown(field) .. ', wanted at most 16 fields of small letters')
        end
        parts[#parts + 1] = encode(field) .. ':' .. encode(text_arg(inputs, field, PATH))
    end
    table.sort(parts)
    return #parts > 0 and '{' .. table.concat(parts, ',') .. '}' or nil
end

local function decoded(text)
    local value = decode(text)
    return type(value) == 'table' and value or nil
end

-- Which files of a job are others now, on any live host that could take it: a list of fields; nil if that is not known.
-- since: what a host saw before then is not known.
function changed_files(id, since)
    local made, needs, inputs = job_get(id, 'files', 'needs', 'inputs')
    local was, time, found, changed, known = decoded(made), now(), false, list(), {}
    if not was then return nil end
    for _, host in ipairs(live_hosts(time)) do
        if not lacks(needs, host.offers) then
            local files = host.looked >= (since or 0) - SLACK_MS and decoded(host.files)
            local seen = files and files_seen(files, needs, inputs)
            if not seen then return nil end
            found = true
            for field, hash in pairs(was) do
                if seen[field] ~= hash and not known[field] then
                    known[field] = true
                    changed[#changed + 1] = field
                end
            end
        end
    end
    table.sort(changed)
    return found and changed or nil
end

-- Whether a submit of the same spec is this job: one that has made nothing will read what is there then. Else also the
-- fields whose files have changed, none where that is not known.
function same_job(id, since)
    local started, files = job_get(id, 'started', 'files')
    if not started and not files then return true end
    local changed = changed_files(id, since)
    if changed and #changed == 0 then return true end
    return false, changed or list()
end

--- ddq_look {paths[]?, since?} -> {since, fresh}
--- Asks all hosts to look at their files, and at these paths of users, and to send a heartbeat then (without since); or
--- whether they have all done so (since: of the first answer). Hosts that do not tell of their files, or whose look
--- takes long, are not waited for.
function F.look(a)
    local paths, since, fresh = list_arg(a, 'paths', 32), given(a, 'since'), true
    for i = 1, #paths do text_arg({['paths ' .. i] = paths[i]}, 'paths ' .. i, PATH) end
    if since == nil then
        since = now()
        hint(P .. 'ctl', encode({op = 'look', paths = list(paths)}))
    end
    since = number_arg({since = since}, 'since', 0, 2 ^ 43)
    for _, host in ipairs(live_hosts(now())) do
        if host.looks and host.looked < since - SLACK_MS then fresh = false end
    end
    return {since = since, fresh = fresh}
end

