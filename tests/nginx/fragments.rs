//! What plugins bring along for nginx's configuration, and that it stays theirs.

use crate::support::{APP, World};

const HTTP: &str = "_extra_nginx_http_conf_filename=http.conf";
const SERVER: &str = "_extra_nginx_server_conf_filename=server.conf";
const LOCATION: &str = "_extra_nginx_conf_filename=location.conf\n";

/// A plugin `good` that has nothing to do with it.
fn world() -> World {
    let world = World::new();
    world.app("good", "");
    world.main("good");
    world
}

#[test]
fn fragments_are_templates_over_the_environment_of_the_plugin() {
    let world = world();
    let sections = format!(
        "[app_main]\n{APP}{LOCATION}_extra_nginx_conf_static_filename=static.conf\n[custom]\ncolour=teal\n"
    );
    world.plugin("hello", &format!("{HTTP}\n{SERVER}"), &sections);
    world.write(
        "hello/http.conf",
        "map $uri $colour { default \"{{MFSERV_CURRENT_PLUGIN_CUSTOM_COLOUR}}\"; }",
    );
    let server = "location = /{{MFSERV_CURRENT_PLUGIN_NAME}}-info { default_type text/plain; \
                  return 200 \"$colour {{MFSERV_CURRENT_PLUGIN_DIR}} {{MFSERV_NGINX_PORT}}\"; }";
    world.write("hello/server.conf", server);
    world.write(
        "hello/location.conf",
        "proxy_read_timeout 7s;\nadd_header X-Colour $colour;\n# no newline at the end",
    );
    world.write("hello/static.conf", "expires 1h;\n");
    world.write("hello/main/static/a.txt", "file");
    world.main("hello");
    let _nginx = world.start();
    let dir = world.home().join("var/plugins/hello");
    assert_eq!(world.who("/hello-info"), format!("teal {} {}", dir.display(), world.port));
    for path in ["/hello", "/hello/main/x"] {
        let answer = world.get(path);
        assert_eq!((answer.who().as_str(), answer.header("x-colour")), ("hello/main/1", Some("teal")));
    }
    assert_eq!(world.get("/hello/static/a.txt").header("cache-control"), Some("max-age=3600"));
    assert_eq!(world.get("/good").header("x-colour"), None);
}

#[test]
fn a_broken_fragment_keeps_its_plugin_out_and_nobody_else() {
    for (key, text, expected) in [
        (HTTP, "nonsense on;\n", "http.conf:1: unknown directive \"nonsense\""),
        (HTTP, "\n\nmap $a $b {\n", "http.conf:4: a block is not closed"),
        (HTTP, "}\nserver { listen 1;\n", "http.conf:1: `}` closes a block that is not begun here"),
        (SERVER, "} server { listen 127.0.0.1:1; } server {", "server.conf:1: `}` closes a block"),
        (SERVER, "location / {{% if %}", "server.conf:1: "),
        (SERVER, "set $x {{ NO_SUCH_THING }};", "server.conf:1: `NO_SUCH_THING` is undefined"),
        (SERVER, "listen 127.0.0.1:1", "server.conf:1: `listen` does not end: `;` is missing"),
        (SERVER, "location /a { proxy_pass http://no-such-host.invalid; }", "host not found in upstream"),
        (SERVER, "add_header a 'b;\n", "server.conf:1: a quote is not closed"),
        (SERVER, "include /no/such/file.conf;", "open() \"/no/such/file.conf\" failed"),
        (LOCATION, "\nproxy_pass http://127.0.0.1:1;", "\"proxy_pass\" directive is duplicate"),
        (HTTP, "\nmap $uri $proxy_connection { default 1; }", "http.conf:2: it defines `$proxy_connection`"),
        (LOCATION, "} location /stolen {", "location.conf:1: `}` closes a block"),
    ] {
        let world = world();
        let (general, lines) = if key == LOCATION { ("", key) } else { (key, "") };
        let file = key.trim().rsplit('=').next().unwrap();
        world.write(&format!("bad/{file}"), text);
        world.plugin("bad", general, &format!("[app_main]\n{APP}{lines}"));
        let configured = world.configure();
        let [(name, problem)] = &configured.problems[..] else { panic!("{text}: {:?}", configured.problems) };
        assert_eq!(name, "bad");
        assert!(problem.message.contains(expected), "{text}: {problem:?}");
        assert!(problem.hint.is_some());
        assert_eq!(configured.routes.len(), 1);
        assert!(!configured.text.contains("/bad"));
        let _nginx = world.serve(&configured);
        assert_eq!((world.who("/good"), world.who("/bad")), ("good/main/1".into(), "404".into()), "{text}");
    }
}

#[test]
fn of_two_plugins_whose_fragments_clash_the_first_is_served() {
    for (key, one, two, expected) in [
        (
            HTTP,
            "limit_req_zone $uri zone=a:1m rate=1r/s;",
            "limit_req_zone $host zone=a:1m rate=1r/s;",
            "limit_req_zone",
        ),
        (
            HTTP,
            "upstream u { server 127.0.0.1:1; }",
            "upstream u { server 127.0.0.1:2; }",
            "duplicate upstream \"u\"",
        ),
        (HTTP, "gzip on;", "gzip off;", "\"gzip\" directive is duplicate"),
        (
            SERVER,
            "location /same { deny all; }",
            "location /same { allow all; }",
            "duplicate location \"/same\"",
        ),
        (SERVER, "location @x { deny all; }", "location @x { allow all; }", "server.conf:1: it defines `@x`"),
        (HTTP, "map $uri $x { default 1; }", "geo $x { default 1; }", "http.conf:1: it defines `$x`"),
    ] {
        let world = world();
        for (name, text) in [("one", one), ("two", two)] {
            world.plugin(name, key, &format!("[app_main]\n{APP}"));
            world.write(&format!("{name}/{}", key.rsplit('=').next().unwrap()), text);
            world.main(name);
        }
        let configured = world.configure();
        let [(name, problem)] = &configured.problems[..] else { panic!("{two}: {:?}", configured.problems) };
        assert_eq!(name, "two");
        assert!(problem.message.contains("beside the plugin `one`"), "{problem:?}");
        assert!(problem.message.contains(expected), "{problem:?}");
        let _nginx = world.serve(&configured);
        let who = ["/good", "/one", "/two"].map(|path| world.who(path));
        assert_eq!(who, ["good/main/1", "one/main/1", "404"]);
    }
}

#[test]
fn a_plugin_that_is_out_takes_nothing_from_others() {
    let world = world();
    for (name, text) in
        [("one", "map $uri $x { default 1; }\nnonsense;"), ("two", "map $uri $x { default 2; }")]
    {
        world.plugin(name, HTTP, &format!("[app_main]\n{APP}prefix_based_routing_extra_routes=/x\n"));
        world.write(&format!("{name}/http.conf"), text);
        world.main(name);
    }
    let configured = world.configure();
    assert_eq!(configured.problems.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["one"]);
    let _nginx = world.serve(&configured);
    assert_eq!(["/x", "/one", "/good"].map(|path| world.who(path)), ["two/main/1", "404", "good/main/1"]);
}

#[test]
fn what_a_plugin_does_to_the_shared_server_does_not_reach_the_routes_of_others() {
    let world = world();
    world.write("good/main/static/a.txt", "file");
    world.plugin("greedy", SERVER, &format!("[app_main]\n{APP}"));
    let server = "location ~ \\.txt$ { return 418; }\nlocation ~ ^/greedy/own { return 418; }\n\
                  error_page 404 =418 /teapot;\nproxy_set_header X-Greedy 1;\n";
    world.write("greedy/server.conf", server);
    world.main("greedy");
    let _nginx = world.start();
    assert_eq!(world.who("/good/static/a.txt"), "file");
    assert_eq!(world.who("/good/static/none"), "404");
    let seen = world.get("/good/x.txt").seen();
    assert!(seen.contains_key("x-request-id") && !seen.contains_key("x-greedy"), "{seen:?}");
    // Its own routes are another matter.
    assert_eq!(world.who("/greedy/own"), "418");
    assert_eq!(world.who("/greedy/x"), "greedy/main/1");
}

#[test]
fn a_plugin_can_take_a_location_of_its_own_into_its_hands() {
    let mut world = world();
    world.set("fragments_allowed=hello");
    world.plugin("hello", SERVER, &format!("[app_main]\n{APP}[app_api]\n{APP}"));
    world.write("hello/server.conf", "location = /hello/main { return 418; }\nlocation ^~ /hello/api/ { return 418; }\nlocation / { return 418; }");
    world.main("hello");
    world.worker("hello", "api", 1);
    let _nginx = world.start();
    for (path, who) in [
        ("/hello/main", "418"),
        ("/hello/main/x", "hello/main/1"),
        ("/hello/api", "hello/api/1"),
        ("/hello/api/x", "418"),
        ("/anything", "418"),
        ("/good", "good/main/1"),
    ] {
        assert_eq!(world.who(path), who, "{path}");
    }
}

#[test]
fn a_fragment_with_locations_works_by_path_and_by_host() {
    let world = world();
    world.app("hello", &format!("_virtualdomain_based_routing=1\n{LOCATION}"));
    world.write("hello/location.conf", "location ~ \\.special$ { return 418; }\nproxy_read_timeout 5s;\n");
    world.main("hello");
    let _nginx = world.start();
    for (host, path, who) in [
        ("x", "/hello/a.special", "418"),
        ("x", "/hello/a", "hello/main/1"),
        ("x", "/hello", "hello/main/1"),
        ("x", "/good/a.special", "good/main/1"),
        ("hello.localhost", "/a.special", "418"),
        ("hello.localhost", "/a", "hello/main/1"),
    ] {
        assert_eq!(world.host(host, path).who(), who, "{host}{path}");
    }
}

#[test]
fn a_script_server_of_the_plugins_own_works_by_host() {
    let world = world();
    let routing = "_prefix_based_routing=false\n_virtualdomain_based_routing=true\n";
    let sections = format!("[app_main]\n_cmd_and_args=bin/php.sh\nnumprocesses=1\n{routing}{LOCATION}");
    world.plugin("php", "", &sections);
    let fragment = "root {{MFSERV_CURRENT_PLUGIN_DIR}}/main;\n\
                    location ~ \\.php$ { try_files $uri =404; return 418; }\n";
    world.write("php/location.conf", fragment);
    world.write("php/main/a.txt", "file");
    world.write("php/main/a.php", "");
    let _nginx = world.start();
    assert_eq!(world.host("php.localhost", "/a.php").who(), "418");
    assert_eq!(world.host("php.localhost", "/b.php").who(), "418");
    assert_eq!(world.host("php.localhost", "/a.txt").who(), "file");
}

#[test]
fn a_fragment_that_answers_or_guards_what_is_another_plugins_is_refused() {
    for (key, text, expected) in [
        (SERVER, "\nreturn 503;", "server.conf:2: `return` is for every request there"),
        (SERVER, "deny all;", "`deny` is for every request"),
        (SERVER, "allow 127.0.0.1; deny all;", "`allow` is for every request"),
        (SERVER, "if ($arg_x) { return 403; }", "`if` is for every request"),
        (SERVER, "rewrite ^/good(.*) /bad$1;", "`rewrite` is for every request"),
        (SERVER, "auth_basic x; auth_basic_user_file /etc/passwd;", "`auth_basic` is for every request"),
        (SERVER, "auth_request /bad/auth;", "`auth_request` is for every request"),
        (SERVER, "try_files $uri /bad;", "`try_files` is for every request"),
        (SERVER, "root /etc;", "`root` changes what"),
        (SERVER, "listen 127.0.0.1:1;", "`listen` changes what"),
        (SERVER, "server_name good.localhost;", "`server_name` changes what"),
        (SERVER, "access_log off;", "`access_log` changes what"),
        (SERVER, "proxy_method DELETE;", "`proxy_method` changes what"),
        (SERVER, "ssl_verify_client on;", "`ssl_verify_client` changes what"),
        (SERVER, "limit_rate 1;", "`limit_rate` changes what"),
        (SERVER, "client_max_body_size 1k;", "`client_max_body_size` is less than the module's"),
        (SERVER, "location / { return 418; }", "`location` takes every path that nobody has"),
        (SERVER, "location ~ .* { return 418; }", "`location` takes every path that nobody has"),
        (
            SERVER,
            "location = /good/x { return 418; }",
            "`location` `/good/x` takes what is a route of the plugin `good`",
        ),
        (SERVER, "location ^~ /good/main/x/ { return 418; }", "is a route of the plugin `good`"),
        (SERVER, "location /good/static { return 418; }", "is a route of the plugin `good`"),
        (SERVER, "location @unanswered { return 418; }", "is the name of one that the module has"),
        (SERVER, "include /etc/n*.conf;", "`include` names no single file"),
        (HTTP, "deny all;", "http.conf:1: `deny` is for every request"),
        (HTTP, "auth_basic x;", "`auth_basic` is for every request"),
        (HTTP, "set_real_ip_from 0.0.0.0/0;", "`set_real_ip_from` changes what"),
        (
            HTTP,
            "limit_req_zone $uri zone=a:1m rate=1r/s;\nlimit_req zone=a;",
            "http.conf:2: `limit_req` is for",
        ),
        (
            HTTP,
            "server {\n listen 127.0.0.1:PORT;\n server_name good.localhost; }",
            "http.conf:2: `listen 127.0.0.1:",
        ),
        (
            HTTP,
            "server { listen unix:HOME/var/app_good_main_1.socket; }",
            "the socket of another plugin's worker",
        ),
        (
            HTTP,
            "upstream good.main { server 127.0.0.1:1; }",
            "`good.main` is the name of another plugin's app",
        ),
        (
            HTTP,
            "limit_req_zone $uri zone=good.main:1m rate=1r/s;",
            "`good.main` is the name of another plugin's app",
        ),
    ] {
        let mut world = world();
        // It comes before the other one: that must not count.
        world.plugin("bad", key, &format!("[app_main]\n{APP}"));
        let home = world.home().to_str().unwrap().to_owned();
        let text = text.replace("PORT", &world.port.to_string()).replace("HOME", &home);
        world.write(&format!("bad/{}", key.rsplit('=').next().unwrap()), &text);
        world.main("bad");
        let configured = world.configure();
        let [(name, problem)] = &configured.problems[..] else { panic!("{text}: {:?}", configured.problems) };
        assert_eq!(name, "bad", "{text}");
        assert!(problem.message.contains(expected), "{text}: {problem:?}");
        assert!(problem.hint.as_ref().unwrap().contains("fragments_allowed=bad"), "{problem:?}");
        let nginx = world.serve(&configured);
        assert_eq!(
            ["/good", "/good/x", "/bad"].map(|path| world.who(path)),
            ["good/main/1", "good/main/1", "404"],
            "{text}"
        );
        drop(nginx);
        // The operator may want it so; nginx need not.
        world.set("fragments_allowed=other,bad");
        let allowed = world.configure().problems;
        assert!(allowed.iter().all(|(_, it)| !it.message.contains(expected)), "{text}: {allowed:?}");
    }
}

#[test]
fn a_fragment_that_sets_things_or_answers_for_its_own_plugin_stays() {
    for (key, text) in [
        (SERVER, "add_header X-A b;\nexpires 1h;\nset $own 1;"),
        (SERVER, "client_max_body_size 1g;"),
        (SERVER, "error_page 404 =418 /teapot;"),
        (SERVER, "rewrite ^/fine/old/(.*)$ /fine/new/$1 last;\nrewrite ^/y$ /fine last;"),
        (SERVER, "location ~ ^/fine/.*\\.x$ { return 418; }"),
        (SERVER, "location /elsewhere { return 418; }\nlocation = /goodbye { return 418; }"),
        (SERVER, "location /fine/main/z { deny all; }"),
        (SERVER, "location @own { return 418; }"),
        (SERVER, "include /etc/nginx/fastcgi_params;"),
        (HTTP, "map $uri $own { default 1; }\nupstream own { server 127.0.0.1:1; }\nkeepalive_timeout 9s;"),
        (HTTP, "server { listen unix:HOME/own.socket; return 418; }"),
        (HTTP, "limit_req_zone $uri zone=own:1m rate=1r/s;\nerror_page 404 =418 /teapot;"),
        (HTTP, "gzip on;\ngzip_types text/plain;"),
    ] {
        let world = world();
        world.plugin("fine", key, &format!("[app_main]\n{APP}prefix_based_routing_extra_routes=/y\n"));
        let text = text.replace("HOME", world.home().to_str().unwrap());
        world.write(&format!("fine/{}", key.rsplit('=').next().unwrap()), &text);
        world.write("good/main/static/a.txt", "file");
        world.main("fine");
        let configured = world.configure();
        assert_eq!(configured.problems, [], "{text}");
        let _nginx = world.serve(&configured);
        let paths = ["/good", "/fine", "/good/static/a.txt", "/good/static/none", "/none"];
        assert_eq!(
            paths.map(|path| world.who(path)),
            ["good/main/1", "fine/main/1", "file", "404", "404"],
            "{text}"
        );
    }
}

#[test]
fn a_pattern_does_not_reach_a_plugin_that_has_patterns_of_its_own() {
    let world = world();
    for (name, pattern) in [("loose", "\\.txt$"), ("strict", "^/strict/.*\\.txt$")] {
        world.plugin(name, SERVER, &format!("[app_main]\n{APP}"));
        world.write(&format!("{name}/server.conf"), &format!("location ~ {pattern} {{ return 418; }}"));
        world.main(name);
    }
    let configured = world.configure();
    let [(name, problem)] = &configured.problems[..] else { panic!("{:?}", configured.problems) };
    assert_eq!(name, "loose");
    assert!(problem.message.contains("takes paths of the plugin `strict`, too"), "{problem:?}");
    let _nginx = world.serve(&configured);
    assert_eq!(["/strict/a", "/strict/a.txt"].map(|path| world.who(path)), ["strict/main/1", "418"]);
}
