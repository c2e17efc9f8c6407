//! OpenLDAP's server as a process of the test's own, on loopback, with attributes of Active Directory in its schema.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::judge;

const LIMIT: Duration = Duration::from_secs(120);
const PROGRAM: &str = "/usr/sbin/slapd";

/// Who may search without a limit, and the password of that.
pub const READER: (&str, &str) = ("cn=reader,dc=example,dc=com", "the reader's own password");
const ROOT: (&str, &str) = ("cn=root,dc=example,dc=com", "the password of slapd's root");

/// MS-ADA1 to MS-ADA3 and MS-ADSC: of Active Directory, with the rules by which it compares.
const SCHEMA: &str = "
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.2.102 NAME 'memberOf' EQUALITY distinguishedNameMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP organizationalPerson STRUCTURAL
  MAY ( sAMAccountName $ userAccountControl $ memberOf $ mail $ givenName $ uid ) )
objectclass ( 1.2.840.113556.1.5.8 NAME 'group' SUP top STRUCTURAL MUST cn MAY ( member $ sAMAccountName $ description ) )
";

/// A directory of `dc=example,dc=com`, until it is dropped.
#[derive(Debug)]
pub struct Slapd {
    child: Child,
    /// The port of LDAP, which takes StartTLS too if there is a certificate.
    pub port: u16,
    /// The port of LDAPS.
    pub tls_port: u16,
    log: watch::Receiver<String>,
    directory: TempDir,
}

/// Whether slapd is there; if not, the test says so.
#[must_use]
pub fn is_there() -> bool {
    let missing =
        [PROGRAM, "/usr/bin/ldapmodify", "/usr/bin/openssl"].into_iter().find(|path| !Path::new(path).exists());
    if let Some(path) = missing {
        judge::skip(&format!("{path} is not installed (scripts/packages/judges.txt)"));
    }
    missing.is_none()
}

impl Slapd {
    /// Serves these entries, in LDIF, and its base and [`READER`]; with a certificate for `localhost` if that is asked for, of a CA in
    /// [`Self::ca`].
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(entries: &str, has_tls: bool) -> Self {
        Self::start_with(entries, has_tls, "").await
    }

    /// The same with TLS that takes clients alone that show a certificate of its CA, such as [`Self::client`].
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_for_known_clients(entries: &str) -> Self {
        Self::start_with(entries, true, "TLSVerifyClient demand\n").await
    }

    async fn start_with(entries: &str, has_tls: bool, more: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir(path("database")).expect("a directory");
        if has_tls {
            certify(directory.path()).await;
        }
        std::fs::write(path("ad.schema"), SCHEMA).expect("a file");
        std::fs::write(path("slapd.conf"), configuration(directory.path(), has_tls, more)).expect("a file");
        let base = format!(
            "dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\n\
             dn: {0}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: {1}\n\n",
            READER.0, READER.1
        );
        std::fs::write(path("entries.ldif"), base + entries).expect("a file");
        // Not by the name that AppArmor has rules for.
        let program = path("directory-server");
        std::fs::copy(PROGRAM, &program).expect("a copy");
        let configured = |program: &Path| {
            let mut command = Command::new(program);
            command.arg("-f").arg(path("slapd.conf"));
            command
        };
        let mut add = configured(Path::new("/usr/sbin/slapadd"));
        let added = judge::run(add.arg("-q").arg("-l").arg(path("entries.ldif")), b"", LIMIT).await;
        assert!(added.success, "{added}");
        let (port, tls_port) = free_ports();
        let mut listen = format!("ldap://127.0.0.1:{port}/");
        if has_tls {
            write!(listen, " ldaps://127.0.0.1:{tls_port}/").expect("text");
        }
        let mut child = configured(&program)
            // Operations and their results.
            .args(["-d", "256", "-h", &listen])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("slapd starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let started = timeout(LIMIT, async {
            let mut seen = String::new();
            while let Some(line) = lines.next_line().await.expect("text") {
                if line.contains("slapd starting") {
                    return;
                }
                seen = seen + &line + "\n";
            }
            panic!("slapd ended: {seen}");
        });
        started.await.expect("slapd starts in time");
        let (written, log) = watch::channel(String::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                written.send_modify(|log| {
                    log.push_str(&line);
                    log.push('\n');
                });
            }
        });
        Self { child, port, tls_port, log, directory }
    }

    /// The CA that its certificate is of.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate of that CA for a client, and its key.
    #[must_use]
    pub fn client(&self) -> [PathBuf; 2] {
        ["client.pem", "client.key"].map(|name| self.directory.path().join(name))
    }

    /// What it has written of operations, until an operation of this test's own that comes after them.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn log(&self) -> String {
        let mut written = self.log.clone();
        let mark = format!("cn=mark-{}", written.borrow().len());
        let mut search = Command::new("/usr/bin/ldapsearch");
        search.args([
            "-x",
            "-LLL",
            "-o",
            "nettimeout=30",
            "-H",
            &format!("ldap://127.0.0.1:{}", self.port),
            "-b",
            &mark,
        ]);
        judge::run(&mut search, b"", LIMIT).await;
        let whole = timeout(LIMIT, written.wait_for(|log| log.contains(&mark))).await;
        whole.expect("slapd writes in time").expect("slapd runs").clone()
    }

    /// Ends it: what it was configured by stays.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn stop(&mut self) {
        timeout(LIMIT, self.child.kill()).await.expect("it ends in time").expect("it is ours");
    }

    /// Changes entries, by LDIF with `changetype`.
    ///
    /// # Panics
    /// If they are not changed.
    pub async fn change(&self, ldif: &str) {
        let mut modify = Command::new("/usr/bin/ldapmodify");
        modify.args(["-x", "-H", &format!("ldap://127.0.0.1:{}", self.port), "-D", ROOT.0, "-w", ROOT.1]);
        let changed = judge::run(&mut modify, ldif.as_bytes(), LIMIT).await;
        assert!(changed.success, "{changed}");
    }
}

fn configuration(directory: &Path, has_tls: bool, more: &str) -> String {
    let at = directory.display();
    let schemas = ["core", "cosine", "inetorgperson"].map(|name| format!("include /etc/ldap/schema/{name}.schema"));
    let tls = if has_tls {
        format!(
            "TLSCACertificateFile {at}/ca.pem\nTLSCertificateFile {at}/leaf.pem\nTLSCertificateKeyFile {at}/leaf.key\n{more}"
        )
    } else {
        String::new()
    };
    format!(
        "{}\ninclude {at}/ad.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {at}/pid\n{tls}\
         database mdb\nmaxsize 2147483648\nsuffix dc=example,dc=com\nrootdn {}\nrootpw \"{}\"\ndirectory {at}/database\n\
         index objectClass,uid,sAMAccountName,member eq\n\
         access to attrs=userPassword by anonymous auth by * none\naccess to * by * read\n\
         limits dn.exact=\"{}\" size=unlimited size.prtotal=unlimited\n",
        schemas.join("\n"),
        ROOT.0,
        ROOT.1,
        READER.0
    )
}

/// A CA, and what it has signed for `localhost` alone, and for a client.
async fn certify(directory: &Path) {
    std::fs::write(directory.join("extensions"), "subjectAltName=DNS:localhost\n").expect("a file");
    // Without an extension it would be a certificate of version 1.
    std::fs::write(directory.join("client.ext"), "extendedKeyUsage=clientAuth\n").expect("a file");
    let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for line in [
        format!(
            "req -x509 {new_key} -keyout ca.key -out ca.pem -days 2 -subj /CN=CA -addext keyUsage=critical,keyCertSign"
        ),
        format!("req -new {new_key} -keyout leaf.key -out leaf.csr -subj /CN=directory"),
        "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 2 -extfile extensions -out leaf.pem"
            .to_owned(),
        format!("req -new {new_key} -keyout client.key -out client.csr -subj /CN=client"),
        "x509 -req -in client.csr -CA ca.pem -CAkey ca.key -set_serial 3 -days 2 -extfile client.ext -out client.pem"
            .to_owned(),
    ] {
        let mut openssl = Command::new("/usr/bin/openssl");
        openssl.current_dir(directory).args(line.split(' '));
        let made = judge::run(&mut openssl, b"", LIMIT).await;
        assert!(made.success, "{made}");
    }
}

/// Two ports that nobody listens on at this moment.
fn free_ports() -> (u16, u16) {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [one, other] = listeners.each_ref().map(|listener| listener.local_addr().expect("an address").port());
    (one, other)
}
