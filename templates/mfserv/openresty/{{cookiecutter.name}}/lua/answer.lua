-- Answers a request of nginx.

return function(plugin)
    local greeting = require(plugin .. ".lua.greeting")
    -- All of nginx's workers count together.
    local count = ngx.shared[plugin .. "_counters"]:incr("requests", 1, 0)
    ngx.say(greeting(plugin, count))
end
