-- ---- adopt: a job that Redis has lost, from its folder --------------------------------------------------------------
-- A worker writes what was submitted into the folder's job.json (claim_answer hands it out). So after a total loss of
-- Redis a folder is enough to submit its job again, under its old id, with what is on disk counted as done. What a folder
-- states is used for counting only: the report phase checks the checksum of every shard and makes invalid ones again.

-- The gaps in 0..images-1 that the ranges of `have`, "LO-HI" in rising order, leave, and how many images they cover.
local function gaps_arg(a, images)
    local gaps, have, at = {}, 0, 0
    for i, member in ipairs(list_arg(a, 'have', 20000)) do
        local lo, hi = range_of(type(member) == 'string' and member or '')
        if not lo or lo < at or hi <= lo or hi > images then
            refuse('usage', 'have ' .. i .. ' is ' .. shown(member) .. ', wanted LO-HI from ' .. int(at) .. ' to ' ..
                int(images) .. ', in rising order')
        end
        if lo > at then gaps[#gaps + 1] = {at, lo} end
        have, at = have + hi - lo, hi
    end
    if at < images then gaps[#gaps + 1] = {at, images} end
    return gaps, have
end

-- The folder must be that user's, and of no other job.
local function adopted_folder_arg(a, id, user)
    local folder = text_arg(a, 'folder', PATH)
    local owner, name = folder:match('^([^/]+)/([^/]+)$')
    if not owner or not owner:match(NAME[1]) or not name:match(NAME[1]) then
        refuse('usage', 'folder is ' .. shown(folder) .. ', wanted USER/NAME below the output root')
    end
    if owner ~= user then
        refuse('permission', 'folder ' .. folder .. ' belongs to ' .. owner .. ', and its job.json says ' .. user)
    end
    local other = call('HGET', P .. 'folders', folder)
    if other and other ~= id then
        refuse('refused', 'folder ' .. folder .. ' belongs to job ' .. other .. ', which is in the queue')
    end
    return folder
end

-- A report that is there already: the job is done, as far as its folder says.
local function adopt_as_done(id, images, fid, metrics)
    call('DEL', job_key(id, 'ranges'))
    job_set(id, 'images', int(images), 'done', int(images), 'report', 1)
    if fid then job_set(id, 'fid', fid) end
    if metrics then job_set(id, 'metrics', metrics) end
    apply(id, 'claim')
    return apply(id, 'complete')
end

--- ddq_adopt {submitted{}, spec{}, by, folder, have[]?, finished?, images?, fid?, metrics{}?, files{}?}
---   -> {id, state, done, known}
--- Restores a job from its folder under its own id, user and name. submitted: the submitted job, as job.json holds
--- it; the jobs of its `after` count as ended. by: the calling user; only the owner or root may adopt. have: ranges
--- "LO-HI" of images with manifests; finished: the report exists too, with this number of images, this fid and
--- these metrics. A job that is already in the queue is left unchanged (known: true).
function F.adopt(a)
    local job, by = given(a, 'submitted'), text_arg(a, 'by', NAME)
    if type(job) ~= 'table' then refuse('usage', 'submitted is ' .. shown(job) .. ', wanted an object') end
    job.spec, job.after = a.spec, nil
    local id, user = text_arg(job, 'id', ID), text_arg(job, 'user', NAME)
    if by ~= user and not is_admin(by) then
        refuse('permission', 'job ' .. id .. ' belongs to ' .. user .. ', not to ' .. by)
    end
    local state = job_get(id, 'state')
    if state then return {id = id, state = state, done = tonumber((job_get(id, 'done'))), known = true} end
    local images = number_arg(job, 'images', 0, 1e9, 0)
    local gaps, have = gaps_arg(a, images)
    local total, fid = number_arg(a, 'images', 0, 1e9, images), amount_arg(a, 'fid')
    local metrics = figures_arg(a, 'metrics', 100)
    local folder = adopted_folder_arg(a, id, user)
    if a.finished == true and have < images then
        refuse('usage', 'finished, but only ' .. int(have) .. ' of ' .. int(images) .. ' images are there')
    end
    F.submit(job, folder)
    local files = files_arg(a, 'files')
    if files then job_set(id, 'files', files) end
    if counted(job.kind) then owe(user, -have) end
    if a.finished == true then
        return {id = id, state = adopt_as_done(id, total, fid, metrics), done = total, known = false}
    end
    if images > 0 then
        call('DEL', job_key(id, 'ranges'))
        job_set(id, 'done', int(have))
        for i = 1, #gaps do put_range(id, gaps[i][1], gaps[i][2]) end
        if #gaps == 0 then open_report(id, images, 0) end
        place(id)
    end
    return {id = id, state = job_get(id, 'state'), done = have, known = false}
end

