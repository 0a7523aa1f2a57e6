//! Lua that plugins bring along: in openresty, in an nginx that loads a module for it, and where there is none.

use std::fs;
use std::path::PathBuf;

use mwp::run::nginx::Nginx;

use crate::support::{APP, World};

const INIT: &str = "_extra_nginx_init_worker_by_lua_block_filename=init.lua";
const HTTP: &str = "_extra_nginx_http_conf_filename=http.conf";
const SERVER: &str = "_extra_nginx_server_conf_filename=server.conf";

/// The nginx of this machine, which finds its modules in the directory of the world with this name.
fn with_modules_in(world: &mut World, name: &str) -> PathBuf {
    let dir = world.home().join(name);
    fs::create_dir_all(&dir).unwrap();
    let nginx = Nginx::find(&world.site()).unwrap().program;
    let script = format!(
        "#!/bin/sh\ncase $1 in -V) {0} -V 2>&1 | sed 's|--modules-path=[^ ]*|--modules-path={1}|' ;; *) exec {0} \"$@\" ;; esac\n",
        nginx.display(),
        dir.display()
    );
    world.shadow("nginx", &script);
    dir
}

#[test]
fn nginx_loads_its_module_where_a_plugin_has_lua() {
    let world = World::new();
    world.app("good", "");
    world.main("good");
    let before = world.configure();
    assert!(!before.text.contains("load_module"), "nobody needs it");
    let nginx = world.serve(&before);
    world.plugin("hello", &format!("{INIT}\n{HTTP}\n{SERVER}"), "[custom]\ncolour=teal\n");
    world.write("hello/http.conf", "lua_shared_dict {{MFSERV_CURRENT_PLUGIN_NAME}} 1m;");
    world.write(
        "hello/init.lua",
        "ngx.shared.hello:set('begun', '{{MFSERV_CURRENT_PLUGIN_CUSTOM_COLOUR}}')\nerror('not for others')",
    );
    world.write("hello/words/said.lua", "return function() return 'said' end");
    world.write(
        "hello/server.conf",
        "location = /hello { content_by_lua_block {\n\
         local text = ngx.shared.hello:get('begun') .. ' ' .. require('hello.words.said')()\n\
         ngx.header.content_length = #text\n\
         ngx.print(text) } }",
    );
    let configured = world.configure();
    assert_eq!(configured.problems, []);
    assert_eq!(configured.text.matches("\nload_module ").count(), 2, "{}", configured.text);
    fs::write(world.home().join("var/nginx/nginx.conf"), &configured.text).unwrap();
    nginx.reload();
    assert_eq!(world.who("/hello"), "teal said");
    assert_eq!(world.who("/good"), "good/main/1");
}

#[test]
fn with_openresty_plugins_bring_lua() {
    let mut world = World::new();
    world.app("good", "");
    let script = "#!/bin/sh\ncase $1 in -V) echo 'nginx version: openresty/1.25.3.1' >&2 ;; esac\n";
    world.shadow("openresty", script);
    let key = "_extra_nginx_init_worker_by_lua_block_filename=init.lua";
    world.plugin("hello", &format!("{key}\n{SERVER}"), &format!("[app_main]\n{APP}"));
    world.write("hello/init.lua", "x = '{{MFSERV_CURRENT_PLUGIN_NAME}} ]]'");
    world.write("hello/server.conf", "location = /lua { content_by_lua_block { ngx.say('}') } }");
    world.plugin("aside", "_add_plugin_dir_to_lua_path=false", "");
    let configured = world.configure();
    assert_eq!(configured.problems, []);
    let text = &configured.text;
    let plugins = world.home().join("var/plugins");
    let plugins = plugins.display();
    let path = format!("lua_package_path \"{plugins}/?.lua;{plugins}/good/?.lua;{plugins}/hello/?.lua;;\";");
    for part in
        [&path, "run(\"hello\", [=[\nx = 'hello ]]'\n]=])", "\nenv MFMODULE_RUNTIME_HOME;\n", "= /lua {"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn where_nginx_runs_no_lua_a_plugin_with_some_is_left_out_and_nobody_else() {
    // Without the module, and with one that is of no use to it.
    for module in [None, Some("no module at all")] {
        for (key, file, text) in [
            (SERVER, "server.conf", "location /a { content_by_lua_block { ngx.say('}') } }"),
            (HTTP, "http.conf", "lua_shared_dict x 1m;"),
            (INIT, "init.lua", "x = 1"),
        ] {
            let mut world = World::new();
            let dir = with_modules_in(&mut world, "modules");
            if let Some(content) = module {
                fs::write(dir.join("ngx_http_lua_module.so"), content).unwrap();
            }
            world.app("good", "");
            world.write(&format!("bad/{file}"), text);
            world.plugin("bad", key, &format!("[app_main]\n{APP}"));
            let configured = world.configure();
            let [(name, problem)] = &configured.problems[..] else { panic!("{:?}", configured.problems) };
            assert_eq!(name, "bad");
            let expected =
                "needs openresty, or nginx with its Lua module; the nginx of this machine runs no Lua";
            assert!(problem.message.contains(expected), "{problem:?}");
            assert!(problem.hint.as_deref().unwrap().contains("libnginx-mod-http-lua"));
            assert!(configured.text.contains("good.main") && !configured.text.contains("load_module"));
        }
    }
}
