-- ---- JSON that comes from callers --------------------------------------------------------------------------------------
-- cjson takes more than JSON is (NaN, 0x1F, 1., nesting to 1000, bytes that are no UTF-8), and what a caller sends as
-- text is handed to others inside answers, which must be JSON for every parser. So arguments are decoded by a strict
-- cjson of our own, and a text that is kept to the letter is checked to the letter, once, before it is kept.

local MAX_DEPTH = 32         -- of a text; the answers around it add three
local MAX_ARGS = 2500000     -- characters of one call's arguments: a spec with its quotes escaped

local strict -- made by the first call: cjson is not there yet while a library loads
function decode(text)
    if not strict then
        strict = cjson.new()
        strict.decode_max_depth(MAX_DEPTH + 2)
        strict.decode_invalid_numbers(false)
    end
    if type(text) ~= 'string' or #text > MAX_ARGS then return nil end
    local good, value = pcall(strict.decode, text)
    if good then return value end
end

local CHARACTERS = {'[\194-\223][\128-\191]', '\224[\160-\191][\128-\191]', '[\225-\236\238\239][\128-\191][\128-\191]',
    '\237[\128-\159][\128-\191]', '\240[\144-\191][\128-\191][\128-\191]', '[\241-\243][\128-\191][\128-\191][\128-\191]',
    '\244[\128-\143][\128-\191][\128-\191]'}

-- A byte that is part of no character; nil in UTF-8.
local function stray(text)
    if not text:find('[\128-\255]') then return nil end
    for i = 1, #CHARACTERS do text = text:gsub(CHARACTERS[i], function(found) return ('.'):rep(#found) end) end
    return text:find('[\128-\255]')
end

local function past_character(text, at)
    if text:match('^[\128-\193\245-\255]', at) then return nil end
    for i = 1, #CHARACTERS do
        local past = text:match('^' .. CHARACTERS[i] .. '()', at)
        if past then return past end
    end
end

-- Free text with "?" for each stray byte.
function as_utf8(text)
    if not stray(text) then return text end
    local parts, from = {}, 1
    local at = text:find('[\128-\255]')
    while at do
        local past = past_character(text, at)
        if not past then
            parts[#parts + 1] = text:sub(from, at - 1)
            parts[#parts + 1] = '?'
            from = at + 1
        end
        at = text:find('[\128-\255]', past or from)
    end
    return table.concat(parts) .. text:sub(from)
end

local NUMBERS = {'^%-?%d+$', '^%-?%d+%.%d+$', '^%-?%d+[eE][+-]?%d+$', '^%-?%d+%.%d+[eE][+-]?%d+$'}

-- The place behind a number, or nil.
local function past_number(text, at)
    local short = text:match('^[1-9]%d?%d?%d?%d?()[,%]} \t\r\n]', at) -- as nearly all are
    if short then return short end
    local token, past = text:match('^([%d.eE+-]+)()', at)
    if not token or token:match('^%-?0%d') or math.abs(tonumber(token) or math.huge) == math.huge then return nil end
    for i = 1, #NUMBERS do
        if token:match(NUMBERS[i]) then return past end
    end
end

-- The place behind a string, or nil. Half a surrogate pair and \u0000 are no text.
local function past_string(text, at)
    at = text:match('^"[^"\\%z\1-\31]*()', at)
    while at and text:sub(at, at) == '\\' do
        local code = text:match('^\\u(%x%x%x%x)', at)
        local value = code and tonumber(code, 16)
        local past = not code and text:match('^\\["\\/bfnrt]()', at) or nil
        if value and value >= 0xD800 and value < 0xDC00 then
            past = text:match('^\\u%x%x%x%x\\u[dD][c-fC-F]%x%x()', at)
        elseif value and value ~= 0 and (value < 0xDC00 or value > 0xDFFF) then
            past = at + 6
        end
        at = past and text:match('^[^"\\%z\1-\31]*()', past)
    end
    return at and text:match('^"()', at)
end

local WORDS = {t = '^true()', f = '^false()', n = '^null()'}

local function past_value(text, at, depth)
    local first = text:sub(at, at)
    if first == '"' then return past_string(text, at) end
    if WORDS[first] then return text:match(WORDS[first], at) end
    local close = first == '{' and '}' or first == '[' and ']'
    if not close then return past_number(text, at) end
    if depth == MAX_DEPTH then return nil end
    at = text:match('^[ \t\r\n]*()', at + 1)
    if text:sub(at, at) == close then return at + 1 end
    while at do
        if first == '{' then
            at = past_string(text, at)
            at = at and text:match('^[ \t\r\n]*:[ \t\r\n]*()', at)
        end
        at = at and past_value(text, at, depth + 1)
        if not at then return nil end
        local mark, past = text:match('^[ \t\r\n]*([,%]}])[ \t\r\n]*()', at)
        if mark == close then return text:match('^[ \t\r\n]*[%]}]()', at) end
        at = mark == ',' and past
    end
end

-- Is this an object in JSON that every parser reads alike, but for names that stand twice?
function is_object(text)
    local at = text:match('^[ \t\r\n]*(){')
    local past = at and not stray(text) and past_value(text, at, 0)
    return past and text:match('^[ \t\r\n]*$', past) ~= nil or false
end
