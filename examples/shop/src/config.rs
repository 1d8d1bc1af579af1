//! What the shop is told: flags first, then the environment, then a default.

use std::net::SocketAddr;
use std::time::Duration;

use aws_credential_types::Credentials;

pub(crate) const HELP: &str = "\
pangea-shop: a small web shop on DynamoDB

Usage: pangea-shop [FLAGS]

  --listen ADDR            address to serve on            [SHOP_LISTEN, 127.0.1.1:8000]
  --region NAME            region of the tables           [AWS_REGION, us-east-1]
  --create-tables          create the missing tables here [SHOP_CREATE_TABLES=1]
  --replicate-to A,B       with --create-tables, add replicas in these regions
                                                          [SHOP_REPLICATE_TO]
  --tables-timeout SECONDS give up when the tables are not there by then
                                                          [SHOP_TABLES_TIMEOUT, 300]
  --help, --version

The endpoint is AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL; the credentials are
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.";

/// A validated configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) region: String,
    /// `None` is the SDK's own choice for the region: AWS.
    pub(crate) endpoint: Option<String>,
    pub(crate) credentials: Credentials,
    pub(crate) create_tables: bool,
    pub(crate) replicate_to: Vec<String>,
    pub(crate) tables_timeout: Duration,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Serve(Box<Config>),
    Help,
    Version,
}

#[derive(Debug, Default)]
struct Flags {
    listen: Option<String>,
    region: Option<String>,
    create_tables: bool,
    replicate_to: Option<String>,
    tables_timeout: Option<String>,
}

/// Reads the arguments (without the program's name) and the environment through `env`.
pub(crate) fn parse(
    args: impl IntoIterator<Item = String>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Command, String> {
    // An empty variable is how a shell unsets one for a single command.
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let mut flags = Flags::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg.as_str(), None),
        };
        let mut value = || {
            inline.clone().or_else(|| args.next()).ok_or_else(|| format!("{name} needs a value"))
        };
        match name {
            "--help" | "-h" => return Ok(Command::Help),
            "--version" | "-V" => return Ok(Command::Version),
            "--create-tables" if inline.is_none() => flags.create_tables = true,
            "--listen" => flags.listen = Some(value()?),
            "--region" => flags.region = Some(value()?),
            "--replicate-to" => flags.replicate_to = Some(value()?),
            "--tables-timeout" => flags.tables_timeout = Some(value()?),
            _ => return Err(format!("unknown argument {arg:?}")),
        }
    }
    resolve(flags, &env).map(|config| Command::Serve(Box::new(config)))
}

fn resolve(flags: Flags, env: &impl Fn(&str) -> Option<String>) -> Result<Config, String> {
    let pick = |flag: Option<String>, name: &str, default: &str| {
        flag.or_else(|| env(name)).unwrap_or_else(|| default.to_owned())
    };
    let listen = pick(flags.listen, "SHOP_LISTEN", "127.0.1.1:8000");
    let region = region_name(&pick(flags.region, "AWS_REGION", "us-east-1"))?;
    let timeout = pick(flags.tables_timeout, "SHOP_TABLES_TIMEOUT", "300");
    let create_tables = flags.create_tables || env("SHOP_CREATE_TABLES").is_some_and(|v| v != "0");
    let wanted = flags.replicate_to.or_else(|| env("SHOP_REPLICATE_TO"));
    if wanted.is_some() && !create_tables {
        return Err("--replicate-to needs --create-tables".to_owned());
    }
    Ok(Config {
        listen: listen.parse().map_err(|_| format!("not an address and port: {listen:?}"))?,
        replicate_to: regions(&wanted.unwrap_or_default(), &region)?,
        region,
        endpoint: endpoint(env)?,
        credentials: credentials(env)?,
        create_tables,
        tables_timeout: timeout
            .parse()
            .map(Duration::from_secs)
            .map_err(|_| format!("not a number of seconds: {timeout:?}"))?,
    })
}

fn endpoint(env: &impl Fn(&str) -> Option<String>) -> Result<Option<String>, String> {
    let url = env("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| env("AWS_ENDPOINT_URL"));
    match url.as_deref() {
        Some(url) if url.starts_with("http://") => {}
        Some(url) if url.starts_with("https://") && cfg!(feature = "tls") => {}
        None if cfg!(feature = "tls") => {}
        Some(url) if url.starts_with("https://") => {
            return Err(format!("{url}: this build speaks plain http; build with --features tls"));
        }
        Some(url) => return Err(format!("not an endpoint URL: {url:?}")),
        None => {
            return Err("AWS_ENDPOINT_URL_DYNAMODB (or AWS_ENDPOINT_URL) is not set, and AWS's \
                        own endpoints need a build with --features tls"
                .to_owned());
        }
    }
    Ok(url)
}

/// A local store takes any key, so an unset one has a stand-in; a half-set pair is a mistake.
fn credentials(env: &impl Fn(&str) -> Option<String>) -> Result<Credentials, String> {
    let Some(key) = env("AWS_ACCESS_KEY_ID") else {
        return Ok(Credentials::new("local", "local", None, None, "shop-default"));
    };
    let secret = env("AWS_SECRET_ACCESS_KEY")
        .ok_or("AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not")?;
    Ok(Credentials::new(key, secret, env("AWS_SESSION_TOKEN"), None, "environment"))
}

fn regions(list: &str, home: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let name = region_name(name)?;
        // The home region is where the table is created; it is nobody's replica.
        if name != home && !found.contains(&name) {
            found.push(name);
        }
    }
    Ok(found)
}

/// Region names travel in a header and in the page, so nothing else gets through.
fn region_name(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 32 || !name.chars().all(plain) {
        return Err(format!("not a region name: {name:?}"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");

    fn config(args: &[&str], vars: &[(&str, &str)]) -> Result<Config, String> {
        let env = |name: &str| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        match parse(args.iter().map(|arg| (*arg).to_owned()), env)? {
            Command::Serve(config) => Ok(*config),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn defaults_need_only_an_endpoint() {
        let found = config(&[], &[ENDPOINT]).expect("an endpoint is enough");
        assert_eq!(found.listen.to_string(), "127.0.1.1:8000");
        assert_eq!(found.region, "us-east-1");
        assert_eq!(found.credentials.access_key_id(), "local");
        assert!(!found.create_tables && found.replicate_to.is_empty());
    }

    #[test]
    fn flags_win_over_the_environment() {
        let vars = [ENDPOINT, ("AWS_REGION", "eu-west-1"), ("SHOP_LISTEN", "127.0.0.1:9")];
        let found = config(&["--region=ap-south-1"], &vars).expect("valid");
        assert_eq!(found.region, "ap-south-1");
        assert_eq!(found.listen.port(), 9);
    }

    #[test]
    fn the_service_specific_endpoint_wins() {
        let vars = [ENDPOINT, ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:2")];
        let found = config(&[], &vars).expect("valid");
        assert_eq!(found.endpoint.as_deref(), Some("http://127.0.0.1:2"));
    }

    #[test]
    fn replicas_leave_out_home_and_repeats() {
        let list = "us-east-1, eu-west-1,eu-west-1,";
        let found =
            config(&["--create-tables", "--replicate-to", list], &[ENDPOINT]).expect("valid");
        assert_eq!(found.replicate_to, ["eu-west-1"]);
    }

    #[test]
    fn mistakes_are_named() {
        let told = |args: &[&str], vars: &[(&str, &str)], part: &str| {
            let error = config(args, vars).expect_err("must be refused");
            assert!(error.contains(part), "{error}");
        };
        told(&["--listen", "nowhere"], &[ENDPOINT], "address");
        told(&["--region", "Ohio!"], &[ENDPOINT], "region");
        told(&["--region"], &[ENDPOINT], "needs a value");
        told(&["--create-tables=no"], &[ENDPOINT], "unknown argument");
        told(&["--replicate-to", "eu-west-1"], &[ENDPOINT], "--create-tables");
        told(&["--tables-timeout", "soon"], &[ENDPOINT], "seconds");
        told(&[], &[("AWS_ENDPOINT_URL", "ftp://x")], "endpoint");
        told(&[], &[ENDPOINT, ("AWS_ACCESS_KEY_ID", "k")], "SECRET");
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn without_tls_aws_itself_is_out_of_reach() {
        assert!(config(&[], &[]).expect_err("no endpoint").contains("--features tls"));
        let https = [("AWS_ENDPOINT_URL", "https://x")];
        assert!(config(&[], &https).expect_err("https").contains("--features tls"));
    }
}
