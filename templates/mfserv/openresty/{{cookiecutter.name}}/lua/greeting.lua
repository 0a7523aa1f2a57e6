-- What is said. It knows nothing of nginx, so that it can be tested by itself.

return function(plugin, count)
    return ("Hello World from %s, for the %d. time!"):format(plugin, count)
end
