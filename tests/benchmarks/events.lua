-- wrk posts unique events with this; arguments: file with one event, events per request, first
-- number. Prints one line of JSON at the end. One thread, so that the numbers never repeat.
local template, batch, number

function init(args)
  local file = assert(io.open(args[1]))
  template = file:read("*a")
  file:close()
  batch, number = tonumber(args[2]), tonumber(args[3])
  wrk.method = "POST"
  wrk.headers["Authorization"] = "Bearer " .. os.getenv("PRUUF_API_KEY")
  wrk.headers["Content-Type"] = batch > 1 and "application/cloudevents-batch+json"
    or "application/cloudevents+json"
end

local function event()
  number = number + 1
  return (template:gsub("#", string.format("%07d", number)))
end

function request()
  if batch == 1 then
    return wrk.format(nil, nil, nil, event())
  end
  local events = {}
  for place = 1, batch do
    events[place] = event()
  end
  return wrk.format(nil, nil, nil, "[" .. table.concat(events, ",") .. "]")
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"refused":%d,"broken":%d,"seconds":%.6f,"p50_s":%.6f,"p99_s":%.6f}\n',
    summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
