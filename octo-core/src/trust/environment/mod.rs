//! Which variables a pusher may give to a job, secrets included: those that env= of its
//! line covers, and never one that chooses code or configuration of a program (table.rs).

mod table;

use crate::base::encoding::printable;
use crate::base::names::VariableName;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::LazyLock;
use table::GROUPS;

/// So many bytes of names are told in one line; of more, the number.
const TOLD: usize = 600;

/// An item of env=: a name as it is spelt, or what names begin with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VariablePattern {
    /// `NAME`
    Name(VariableName),
    /// `PREFIX*`; of `*` alone the empty text.
    Prefix(String),
}

impl VariablePattern {
    /// The pattern of this text. A forbidden name is none: a line must not promise what
    /// no run is granted.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<VariablePattern, String> {
        let not = || {
            let shown = printable(text.as_bytes());
            format!("'{shown}' is neither a variable's name nor PREFIX*")
        };
        if let Some(prefix) = text.strip_suffix('*') {
            let sound = prefix.is_empty() || VariableName::parse(prefix).is_some();
            return sound.then(|| VariablePattern::Prefix(prefix.into())).ok_or_else(not);
        }
        let name = VariableName::parse(text).ok_or_else(not)?;
        match forbidden(&name) {
            Some(why) => {
                Err(format!("no pusher may set {name}: {why} (set={name}=VALUE gives it)"))
            }
            None => Ok(VariablePattern::Name(name)),
        }
    }

    /// Why each name that it covers is forbidden, if each is: never where it is one name.
    pub(super) fn reaches_only_forbidden(&self) -> Option<&'static str> {
        let VariablePattern::Prefix(prefix) = self else { return None };
        FORBIDDEN.by_prefix(&prefix.to_ascii_uppercase())
    }
}

impl fmt::Display for VariablePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VariablePattern::Name(name) => write!(out, "{name}"),
            VariablePattern::Prefix(prefix) => write!(out, "{prefix}*"),
        }
    }
}

/// The patterns of an env=, by what is looked for: a line may hold thousands, a spec
/// 100,000 names.
pub(super) struct Listed<'a> {
    names: HashSet<&'a VariableName>,
    prefixes: HashSet<&'a str>,
}

impl<'a> Listed<'a> {
    pub(super) fn of(patterns: &'a [VariablePattern]) -> Listed<'a> {
        let mut listed = Listed { names: HashSet::new(), prefixes: HashSet::new() };
        for pattern in patterns {
            match pattern {
                VariablePattern::Name(name) => drop(listed.names.insert(name)),
                VariablePattern::Prefix(prefix) => drop(listed.prefixes.insert(prefix)),
            }
        }
        listed
    }

    /// Is the name one of those? Compared as it is spelt: `APP_*` covers no `app_x`.
    pub(super) fn covers(&self, name: &VariableName) -> bool {
        let text = name.as_str();
        let begins = || (0..=text.len()).filter_map(|end| text.get(..end));
        self.names.contains(name)
            || (!self.prefixes.is_empty() && begins().any(|begin| self.prefixes.contains(begin)))
    }
}

/// Why no pusher may set this variable, if none may.
pub fn forbidden(name: &VariableName) -> Option<&'static str> {
    FORBIDDEN.why(name.as_str())
}

/// Why these are refused, all of them forbidden; names only.
pub fn refusal(names: &[VariableName]) -> String {
    match names {
        [name] => {
            let why = forbidden(name).unwrap_or("it chooses code or configuration of a program");
            format!("variable {name} is refused: {why}")
        }
        all => {
            let all = listed(all);
            format!("variables {all} are refused: each chooses code or configuration of a program")
        }
    }
}

/// `A, B and 3 more`: as many as a line of the wire and of a log has room for.
pub fn listed(names: &[VariableName]) -> String {
    let mut told = String::new();
    for (index, name) in names.iter().enumerate() {
        // One at least: a name has 256 bytes at most.
        if index > 0 && told.len() + name.as_str().len() > TOLD {
            return format!("{told} and {} more", names.len() - index);
        }
        let between = if index == 0 { "" } else { ", " };
        told = format!("{told}{between}{name}");
    }
    told
}

/// The table, by what is looked for: a spec may hold 100,000 names.
struct Forbidden {
    /// In capitals.
    names: HashMap<String, &'static str>,
    /// In capitals, the longest of the same beginning last.
    prefixes: Vec<(String, &'static str)>,
}

static FORBIDDEN: LazyLock<Forbidden> = LazyLock::new(|| {
    let mut all = Forbidden { names: HashMap::new(), prefixes: Vec::new() };
    for group in GROUPS {
        for item in group.names.split_whitespace() {
            let item = item.to_ascii_uppercase();
            match item.strip_suffix('*') {
                Some(prefix) => all.prefixes.push((prefix.into(), group.why)),
                None => drop(all.names.insert(item, group.why)),
            }
        }
    }
    all
});

impl Forbidden {
    fn why(&self, name: &str) -> Option<&'static str> {
        let name = name.to_ascii_uppercase();
        self.names.get(&name).copied().or_else(|| self.by_prefix(&name))
    }

    /// Does it begin, in capitals, as only forbidden ones do?
    fn by_prefix(&self, begin: &str) -> Option<&'static str> {
        self.prefixes.iter().find(|(prefix, _)| begin.starts_with(prefix)).map(|(_, why)| *why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> VariableName {
        VariableName::parse(text).unwrap_or_else(|| panic!("{text} is no name"))
    }

    fn items() -> impl Iterator<Item = (&'static str, &'static str)> {
        GROUPS.iter().flat_map(|group| group.names.split_whitespace().map(|item| (item, group.why)))
    }

    /// A row that another one covers would hide that the other one is too wide, or gone.
    #[test]
    fn each_row_of_the_table_is_sorted_needed_and_has_its_reason() {
        let mut seen = HashSet::new();
        for group in GROUPS {
            assert!(group.why.len() > 15 && !group.why.ends_with('.'), "{}", group.why);
            let capitals = group.names.to_ascii_uppercase();
            let names: Vec<&str> = capitals.split_whitespace().collect();
            assert!(names.is_sorted(), "{names:?}");
        }
        for (item, _) in items() {
            let capitals = item.to_ascii_uppercase();
            let begin = capitals.strip_suffix('*').unwrap_or(&capitals);
            assert!(VariableName::parse(begin).is_some(), "{item}");
            assert!(seen.insert(capitals.clone()), "{item} stands there twice");
            let others = FORBIDDEN.prefixes.iter().filter(|(p, _)| format!("{p}*") != capitals);
            let cover: Vec<_> = others.filter(|(p, _)| begin.starts_with(p.as_str())).collect();
            assert!(cover.is_empty(), "{item} is covered by {cover:?}");
        }
        assert!(seen.len() > 500, "{} names", seen.len());
    }

    #[test]
    fn the_page_lists_what_is_forbidden_with_its_reasons() {
        let page = include_str!("../../../../man/octo-trust.5");
        let section = page.split("\n.Sh VARIABLES\n").nth(1).expect("a section");
        let list = section.split("\n.Bl ").nth(1).expect("a list");
        let list = list.split("\n.El\n").next().expect("its end");
        let rows: Vec<(String, String)> = list
            .split("\n.It\n")
            .skip(1)
            .map(|row| {
                let (why, names) = row.split_once(":\n").expect("a reason");
                let names = names.split_whitespace().filter(|word| !matches!(*word, ".Ev" | ","));
                (why.trim_start_matches("\\&").into(), names.collect::<Vec<_>>().join(" "))
            })
            .collect();
        let table = GROUPS.iter().map(|group| (group.why.into(), group.names.into()));
        assert_eq!(rows, table.collect::<Vec<(String, String)>>());
    }

    const FORBIDS: &str = "LD_PRELOAD BASH_ENV bash_env ENV PATH Path IFS HOME TMPDIR XDG_CONFIG_HOME OCTO_BASE \
        octo_named BASH_FUNC_x TAR_OPTIONS PYTHONPATH PYTHONSTARTUP PERL5OPT RUBYOPT MAKEFILES \
        TMOUT RESOLV_HOST_CONF GIT_SSH_COMMAND GIT_CONFIG_KEY_0 GIT_CONFIG NODE_OPTIONS \
        node_options npm_config_node_options NPM_CONFIG_NODE_OPTIONS npm_execpath CURL_HOME \
        https_proxy HTTPS_PROXY KUBECONFIG AWS_CONFIG_FILE GNUPGHOME DOCKER_HOST PIP_INDEX_URL \
        CARGO_BUILD_RUSTC RUSTC_WRAPPER MAVEN_OPTS JAVA_TOOL_OPTIONS DOTNET_STARTUP_HOOKS PSQLRC \
        APT_CONFIG LESSOPEN ANSIBLE_CONFIG TF_CLI_ARGS HELM_PLUGINS SSL_CERT_FILE GLIBC_TUNABLES \
        RSYNC_RSH PHP_INI_SCAN_DIR LUA_INIT_5_4 GOFLAGS SYSTEMD_PAGER CC";

    #[test]
    fn what_chooses_code_or_configuration_is_forbidden_in_any_case() {
        for forbids in FORBIDS.split_whitespace() {
            assert!(forbidden(&name(forbids)).is_some(), "{forbids} is permitted");
        }
    }

    const PASSES: &str = "NODE_ENV GIT_COMMIT GIT_BRANCH GIT_AUTHOR_NAME DOTNET_ENVIRONMENT ASPNETCORE_ENVIRONMENT \
        ASPNETCORE_URLS RAILS_ENV RACK_ENV RUBY_VERSION MIX_ENV APP_ENV APP_PORT PORT HOST TZ \
        LANG LC_ALL TERM DEBUG LOG_LEVEL VERSION CI ENVIRONMENT PATHS PYTHONUNBUFFERED \
        PYTHON_VERSION MALLOC_ARENA_MAX RUST_LOG RUST_BACKTRACE GOMAXPROCS \
        DJANGO_SETTINGS_MODULE DATABASE_URL REDIS_URL PGHOST PGPASSWORD MYSQL_PWD \
        AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION AWS_PROFILE GITHUB_TOKEN GH_TOKEN \
        NPM_TOKEN SSH_PRIVATE_KEY SSH_HOST DOCKER_TAG DOCKER_PASSWORD COMPOSE_PROJECT_NAME \
        TF_VAR_region VAULT_ADDR VAULT_TOKEN DEBIAN_FRONTEND COMPOSER_ALLOW_SUPERUSER \
        SPRING_PROFILES_ACTIVE LOADER HELM_RELEASE GOOS TOKEN SECRET_KEY_BASE ENV_NAME OCTOPUS \
        EDITION";

    #[test]
    fn what_is_data_of_an_application_is_not_forbidden() {
        for passes in PASSES.split_whitespace() {
            assert_eq!(forbidden(&name(passes)), None, "{passes}");
        }
    }

    #[test]
    fn patterns_are_read_and_cover_what_they_say() {
        let parse = |text| VariablePattern::parse(text);
        for (pattern, covered, not) in
            [("APP_*", "APP_X", "app_X"), ("*", "x", ""), ("A", "A", "AB"), ("_*", "_", "A")]
        {
            let read = parse(pattern).expect(pattern);
            assert_eq!(read.to_string(), pattern);
            let listed = std::slice::from_ref(&read);
            let covers = |text| Listed::of(listed).covers(&name(text));
            assert!(covers(covered), "{pattern}");
            assert!(not.is_empty() || !covers(not), "{pattern}");
        }
        for (bad, said) in [
            ("", "'' is neither a variable's name nor PREFIX*"),
            ("A B", "'A B' is neither"),
            ("*A", "'*A' is neither"),
            ("A*B", "'A*B' is neither"),
            ("A**", "'A**' is neither"),
            ("1*", "'1*' is neither"),
            ("LD_PRELOAD", "no pusher may set LD_PRELOAD: the loader takes code from it (set=LD_P"),
            ("https_Proxy", "no pusher may set https_Proxy: "),
        ] {
            let error = parse(bad).expect_err(bad);
            assert!(error.starts_with(said), "{bad}: {error}");
        }
        for (pattern, nothing) in [
            ("LD_*", true),
            ("ld_PRE*", true),
            ("GIT_CONFIG_*", true),
            ("NODE_*", false),
            ("*", false),
        ] {
            let read = parse(pattern).expect(pattern);
            assert_eq!(read.reaches_only_forbidden().is_some(), nothing, "{pattern}");
        }
    }

    #[test]
    fn many_names_are_told_in_part() {
        let names: Vec<_> = (0..1000).map(|n| name(&format!("VARIABLE_{n}"))).collect();
        let told = listed(&names);
        assert!(told.starts_with("VARIABLE_0, VARIABLE_1, "), "{told}");
        assert!(told.len() < TOLD + 100, "{told}");
        let count = told.matches("VARIABLE_").count();
        assert!(told.ends_with(&format!(" and {} more", 1000 - count)), "{told}");
        assert_eq!(listed(&names[..2]), "VARIABLE_0, VARIABLE_1");
        let longest = [name(&"A".repeat(256)), name(&"B".repeat(256)), name(&"C".repeat(256))];
        assert!(listed(&longest).ends_with("BBB and 1 more"));
        assert!(refusal(&[name("PATH")]).starts_with("variable PATH is refused: it says who runs"));
        let both = refusal(&[name("PATH"), name("IFS")]);
        assert!(both.starts_with("variables PATH, IFS are refused: each chooses"), "{both}");
    }
}
