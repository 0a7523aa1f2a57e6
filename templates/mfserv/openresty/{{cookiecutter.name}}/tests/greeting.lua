package.path = "./lua/?.lua;" .. package.path
local greeting = require("greeting")

assert(greeting("shop", 3) == "Hello World from shop, for the 3. time!")
print("OK")
