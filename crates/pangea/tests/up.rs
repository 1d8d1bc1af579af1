//! `pangea up` as people and scripts meet it: the real binary, real processes, free ports.

mod support;

use std::time::Duration;

use support::{Up, alive, free_topology, pangea};

/// A killed region is shown dead and stays so; the control socket brings it back; an orderly stop
/// leaves nothing.
#[test]
fn a_killed_region_stays_dead_until_it_is_told_to_start() {
    let mut up = Up::start(&free_topology(""));
    let status = up.wait_for("every region is active", |status| {
        regions(status).iter().all(|(_, state, _)| state == "ACTIVE")
    });
    assert_eq!(status["cluster"], "test");
    up.wait_until("it says so", || up.said().contains("] ready\n"));
    let victim = status["regions"][1]["pid"].as_u64().expect("it runs");

    support::signal(victim, "KILL");
    let status = up.wait_for("the region is dead", |s| regions(s)[1].1 == "DEAD");
    assert_eq!(status["regions"][1]["reason"], "killed by SIGKILL");
    assert_eq!(up.status().0, 1, "something is dead");
    std::thread::sleep(Duration::from_millis(1500));
    up.wait_for("nobody restarts it, and the other is untouched", |s| {
        (regions(s)[0].1.as_str(), regions(s)[1].1.as_str()) == ("ACTIVE", "DEAD")
    });

    let client = up.client();
    let started = client.start("region b").expect("it may start");
    assert_ne!(started.pid, u32::try_from(victim).ok());
    up.wait_for("it is back", |s| regions(s)[1].1 == "ACTIVE");
    let refused = client.start("region b").expect_err("it runs");
    assert!(refused.to_string().contains("runs already"), "{refused}");
    let refused = client.stop("region c").expect_err("there is none");
    assert!(refused.to_string().contains("the processes are `region a`, `region b`, `edge`"));

    let children: Vec<u64> = up.pids();
    assert_eq!(children.len(), 3);
    assert_eq!(up.stop("INT"), Some(0));
    assert!(children.iter().all(|pid| !alive(*pid)), "all are gone");
    let (code, error) = up.status();
    assert_eq!((code, error), (2, None), "nothing is running");
    let said = up.said();
    assert!(said.contains("region b: DEAD (killed by SIGKILL)"), "{said}");
    assert!(said.contains("stopped after"), "{said}");
}

/// The kill and stop of the control socket hold a process down whatever its policy; a death of its
/// own does not.
#[test]
fn a_policy_restarts_what_dies_but_not_what_was_stopped() {
    let mut up = Up::start(&free_topology(""));
    up.wait_for("all is active", |s| regions(s).iter().all(|(_, state, _)| state == "ACTIVE"));
    let client = up.client();
    let edge = |up: &Up| up.client().list().expect("it answers").remove(2);

    let first = edge(&up).pid.expect("it runs");
    support::signal(u64::from(first), "KILL");
    up.wait_until("the edge is restarted", || edge(&up).pid.is_some_and(|pid| pid != first));
    assert_eq!(edge(&up).restarts, 1);

    let killed = client.kill("edge").expect("it runs");
    assert_eq!(killed.pid, None);
    assert_eq!(killed.reason.as_deref(), Some("killed by SIGKILL"));
    std::thread::sleep(Duration::from_millis(1000));
    assert_eq!(edge(&up).pid, None, "held down");
    let stopped = client.stop("region a").expect("it runs");
    assert_eq!(stopped.reason.as_deref(), Some("exited with status 0"));
    let status = up.wait_for("a region still answers, the other is down", |s| {
        (regions(s)[0].1.as_str(), regions(s)[1].1.as_str()) == ("DEAD", "ACTIVE")
    });
    assert_eq!(status["edge"]["pid"], serde_json::Value::Null);
    assert_eq!(up.stop("TERM"), Some(0));
}

#[test]
fn a_sigkill_of_up_leaves_nobody_behind() {
    let service = "[[service]]\nname = \"sleeper\"\ncommand = [\"sleep\", \"1000\"]\n\
                   endpoint = { a = \"{free}\" }\n";
    let mut up = Up::start(&free_topology(service));
    up.wait_until("all four run", || up.pids().len() == 4);
    let children = up.pids();
    up.stop("KILL");
    up.wait_until("they are gone", || children.iter().all(|pid| !alive(*pid)));

    let mut again = Up::restart(&up);
    again.wait_until("the same data directory serves again", || again.pids().len() == 4);
    assert_eq!(again.stop("TERM"), Some(0));
}

#[test]
fn a_process_that_ignores_sigterm_is_killed_and_reported() {
    let (directory, deaf) = (support::directory(), support::directory() + "/deaf");
    let service = format!(
        "[[service]]\nname = \"deaf\"\n\
         command = [\"sh\", \"-c\", \"trap '' TERM; : > {deaf}; while true; do sleep 1; done\"]\n\
         endpoint = {{ a = \"{{free}}\" }}\n"
    );
    let mut up = Up::start_in(&directory, &free_topology(&service));
    up.wait_until("all run", || up.pids().len() == 4);
    up.wait_until("it is deaf", || std::path::Path::new(&deaf).exists());
    assert_eq!(up.stop("TERM"), Some(0));
    let said = up.said();
    assert!(said.contains("deaf a: killed by SIGKILL: it did not stop within 5 s"), "{said}");
}

#[test]
fn a_service_is_built_then_started_and_a_failed_build_stops_nothing_else() {
    let service = "[[service]]\nname = \"good\"\nbuild = [\"true\"]\n\
                   command = [\"sleep\", \"1000\"]\nendpoint = { a = \"{free}\" }\n\
                   [[service]]\nname = \"bad\"\nbuild = [\"sh\", \"-c\", \"echo no flour >&2; exit 3\"]\n\
                   command = [\"sleep\", \"1000\"]\nendpoint = { a = \"{free}\" }\n\
                   [[service]]\nname = \"absent\"\noptional = true\ncommand = [\"/no/such/program\"]\n\
                   endpoint = { a = \"{free}\" }\n";
    let mut up = Up::start(&free_topology(service));
    up.wait_until("the good service runs and the bad one is given up", || {
        let said = up.said();
        said.contains("service good a: started") && said.contains("service bad a: the build")
    });
    let processes = up.client().list().expect("it answers");
    let reason = |name: &str| {
        let process = processes.iter().find(|process| process.process == name);
        process.and_then(|process| process.reason.clone()).unwrap_or_default()
    };
    assert_eq!(reason("build bad"), "exited with status 3: no flour");
    assert!(reason("service bad a").starts_with("the build failed: see "));
    assert!(reason("service absent a").starts_with("not installed: "));
    assert_eq!(up.stop("TERM"), Some(0));
}

#[test]
fn a_busy_port_stops_everything_before_it_starts() {
    let topology = free_topology("");
    let taken = support::port_of(&topology, "dynamodb");
    let _holder = std::net::TcpListener::bind(("127.0.0.1", taken)).expect("it is free");
    let directory = support::directory();
    let file = support::write(&directory, &topology);
    let output = pangea(&["up", "-f", &file, "--data-dir", &directory]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    let expected = format!(
        "TCP 127.0.0.1:{taken} (set by `dynamodb` of region `a` in the topology) is taken by `"
    );
    assert!(error.starts_with("error: nothing was started"), "{error}");
    assert!(error.contains(&expected), "{error}");
    assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
    assert!(output.stdout.is_empty(), "nothing was started");
}

#[test]
fn a_busy_dns_port_on_udp_is_noticed() {
    let topology = free_topology("");
    let taken = support::port_of(&topology, "dns");
    let _holder = std::net::UdpSocket::bind(("127.0.0.1", taken)).expect("it is free");
    let directory = support::directory();
    let file = support::write(&directory, &topology);
    let output = pangea(&["up", "-f", &file, "--data-dir", &directory]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(&format!("UDP 127.0.0.1:{taken} (set by `dns` of [edge]")), "{error}");
}

#[test]
fn a_data_directory_serves_one_up_at_a_time() {
    let mut up = Up::start(&free_topology(""));
    up.wait_until("it runs", || up.pids().len() == 3);
    let other = support::write(&support::directory(), &free_topology(""));
    let output = pangea(&["up", "-f", &other, "--data-dir", &up.directory]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("is in use by another `pangea up` (pid "), "{error}");
    assert_eq!(up.stop("TERM"), Some(0));
}

#[test]
fn a_broken_topology_and_a_missing_program_are_refused() {
    let directory = support::directory();
    let broken = support::write(&directory, "[[region]]\nname = \"a\"\nregoin = 1\n");
    let output = pangea(&["up", "-f", &broken, "--data-dir", &directory]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(&format!("{broken}:3:1: unknown key `regoin`")), "{error}");

    let service = "[[service]]\nname = \"s\"\ncommand = [\"no-such-program\"]\n\
                   endpoint = { a = \"{free}\" }\n";
    let missing = support::write(&directory, &free_topology(service));
    let output = pangea(&["up", "-f", &missing, "--data-dir", &directory]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("service `s`: no program `no-such-program`: install it, or set `command`"),
        "{error}"
    );
}

#[test]
fn a_deep_data_directory_has_a_control_socket_too() {
    let deep = format!("{}/{}", support::directory(), "d".repeat(120));
    let mut up = Up::start_in(&deep, &free_topology(""));
    up.wait_until("the client reaches it", || up.pids().len() == 3);
    assert_eq!(up.stop("TERM"), Some(0));
}

/// Name, state and pid of each region.
fn regions(status: &serde_json::Value) -> Vec<(String, String, Option<u64>)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let regions = status["regions"].as_array().cloned().unwrap_or_default();
    regions.iter().map(|r| (text(&r["name"]), text(&r["state"]), r["pid"].as_u64())).collect()
}
