//! Owns the shapes of events: JSON of four logging libraries, access lines, text, stack traces, long lines.
//! Must not know: framing; which sensitive values an event holds, only where they stand.

use super::pen::{Pen, put};

#[derive(Clone, Copy)]
pub(super) enum JsonShape {
    Zap,
    Logback,
    Pino,
    Ecs,
}

impl JsonShape {
    pub(super) const ALL: [Self; 4] = [Self::Zap, Self::Logback, Self::Pino, Self::Ecs];
}

impl Pen<'_> {
    pub(super) fn json(&mut self, shape: JsonShape) -> u32 {
        match shape {
            JsonShape::Zap => self.zap(),
            JsonShape::Logback => self.logback(),
            JsonShape::Pino => self.pino(),
            JsonShape::Ecs => self.ecs(),
        }
        1
    }

    pub(super) fn zap(&mut self) {
        put! { self,
            r#"{"level":""#, any(&["info", "info", "info", "debug", "warn", "error"]), r#"","ts":"#,
            epoch_s(), r#","caller":""#, any(&["ledger/post.go:", "http/server.go:", "risk/score.go:"]),
            num(20, 480), r#"","msg":""#, any(ACTIONS), r#"","seq":""#, start(), r#"","trace_id":""#,
            hex(32), r#"","transfer":{"id":""#, uuid(),
            r#"","amount":{"value":""#, amount(), r#"","currency":""#, any(CURRENCIES),
            r#""},"attempt":"#, num(1, 3), r#"},"customer":{"id":"cus_"#, hex(12), r#"""#,
            json_email("email"), "}", json_card(), json_other(), r#","took_ms":"#, num(1, 950),
            r#","end":""#, end(), r#""}"#
        };
    }

    pub(super) fn logback(&mut self) {
        put! { self,
            r#"{"@timestamp":""#, iso_ms(), r#"","@version":"1","message":""#, any(ACTIONS), " order=",
            hex(10), text_email(" customer="), text_card(" card "), r#"","logger_name":"com.bank."#,
            service(), ".", any(CLASSES), r#"","thread_name":"http-nio-8080-exec-"#, num(1, 50),
            r#"","level":""#, any(&["INFO", "INFO", "INFO", "WARN", "ERROR", "DEBUG"]),
            r#"","seq":""#, start(), r#"","traceId":""#, hex(32), r#"","amount":"#, amount(), r#","currency":""#,
            any(CURRENCIES), r#"","paymentId":""#, uuid(), r#"""#, json_other(), r#","end":""#, end(),
            r#""}"#
        };
    }

    pub(super) fn pino(&mut self) {
        put! { self,
            r#"{"level":"#, any(&["30", "30", "30", "40", "50", "20"]), r#","time":"#, epoch_ms(),
            r#","pid":"#, num(1, 40), r#","hostname":""#, pod_name(), r#"","reqId":""#, uuid(),
            r#"","seq":""#, start(), r#"","req":{"method":""#, any(METHODS), r#"","url":""#, any(PATHS),
            "?page=", num(1, 90), query_email(), query_card(), r#"","remoteAddress":""#, ip(),
            r#""},"res":{"statusCode":"#, any(STATUSES), r#","headers":{"x-request-id":""#, hex(24),
            r#""}},"responseTime":"#, num(1, 900), ".", num(1, 9), json_other(),
            r#","msg":"request completed","end":""#, end(), r#""}"#
        };
    }

    pub(super) fn ecs(&mut self) {
        put! { self,
            r#"{"@timestamp":""#, iso_ms(), r#"","log.level":""#, any(&["INFO", "INFO", "WARN", "ERROR"]),
            r#"","message":""#, any(ACTIONS), text_email(" for "), r#"","ecs.version":"1.2.0","#,
            r#""service.name":""#, service(), r#"","#,
            r#""process.thread.name":"pool-"#, num(1, 9), "-thread-", num(1, 32), r#"","seq":""#, start(),
            r#"","trace.id":""#, hex(32), r#"","labels":{"tenant":""#,
            any(&["ua", "pl", "de", "lt"]), r#"","account":"acc-"#, hex(10), r#"","rate":"#, num(0, 3),
            ".", num(1_000, 9_999), "}", json_card(), json_other(), r#","event.duration":"#,
            num(100_000, 900_000_000), r#","end":""#, end(), r#""}"#
        };
    }

    pub(super) fn access(&mut self) -> u32 {
        put! { self,
            ip(), " - - [", clf(), "] \"", any(METHODS), " ", any(PATHS), "/", start(), "?v=", num(1, 9),
            query_email(), query_card(), query_other(), " HTTP/1.1\" ", any(STATUSES), " ",
            num(80, 48_000),
            " \"https://bank.example.com", any(PATHS), "\" \"", any(AGENTS), " ", end(), "\""
        };
        1
    }

    pub(super) fn text(&mut self) -> u32 {
        if self.rng.one_in(2) {
            put! { self,
                "time=", iso_ms(), " level=", any(&["info", "info", "warn", "error", "debug"]), " msg=\"",
                any(ACTIONS), "\" seq=", start(), " batch=", uuid(), " rows=", num(1, 9_000),
                text_email(" email="), text_card(" card="), line_other(), " took=", num(1, 900),
                "ms end=",
                end()
            };
        } else {
            put! { self,
                log4j(), " ", any(&["INFO ", "WARN ", "ERROR"]), " [worker-", num(1, 16), "] ",
                any(CLASSES),
                ": ", any(ACTIONS), " seq=", start(), text_email(" on behalf of "),
                text_card(", paid with card "), line_other(), ", ledger entry ", hex(12), " took ",
                num(1, 900), " ms (", end(), ")"
            };
        }
        1
    }

    pub(super) fn trace(&mut self) -> u32 {
        let lines = self.rng.between(5, 25) as u32;
        let causes = if lines >= 12 { 2 } else { 1 };
        put! { self,
            log4j(), " ERROR [http-nio-8080-exec-", num(1, 50), "] com.bank.", service(), ".",
            any(CLASSES),
            " - Unhandled exception seq=", start(), line_other(), "\n",
            any(EXCEPTIONS), ": ", any(ACTIONS), " failed", text_card(" for card "),
            text_email(", customer ")
        };
        // Two lines of head; each cause is a line of its own and closes with "... n more".
        let frames = lines - 2 - 2 * causes;
        let mut left = frames;
        for cause in 0..=causes {
            let here = if cause == causes { left } else { left / (causes + 1 - cause) };
            left -= here;
            for _ in 0..here {
                self.frame();
            }
            if cause > 0 {
                put! { self, "\n\t... ", num(3, 80), " more" };
            }
            if cause < causes {
                put! { self, "\nCaused by: ", any(EXCEPTIONS), ": ", any(REASONS) };
            }
            if cause + 1 == causes {
                put! { self, " (", end(), ")" };
            }
        }
        lines
    }

    pub(super) fn frame(&mut self) {
        put! { self,
            "\n\tat ", any(PACKAGES), any(CLASSES), ".", any(FUNCTIONS), "(", any(CLASSES), ".java:",
            num(12, 1_900), ")"
        };
    }

    pub(super) fn long(&mut self) -> u32 {
        let bytes = self.rng.between(17 * 1024, 41 * 1000) as usize;
        if self.rng.one_in(2) {
            put! { self,
                r#"{"level":"info","time":"#, epoch_ms(), r#","msg":"settlement file","seq":""#, start(),
                r#"","batch":{"id":""#, uuid(), r#"""#, json_email("operator"), "}", json_card(),
                json_other(),
                r#","rows":["#
            };
            while self.draft.text.len() < bytes {
                put! { self,
                    r#"{"id":""#, hex(16), r#"","amount":"#, amount(), r#","currency":""#,
                    any(CURRENCIES),
                    r#"","status":""#, any(&["booked", "pending", "reversed"]), r#"","fee":"#, num(0, 99),
                    "},"
                };
            }
            self.draft.text.pop();
            put! { self, r#"],"end":""#, end(), r#""}"# };
        } else {
            put! { self, log4j(), " INFO  [batch-", num(1, 8), "] reconciliation report seq=", start() };
            let card_at = self.rng.between(1_000, bytes as u64 - 1_000) as usize;
            let mut told = false;
            while self.draft.text.len() < bytes {
                put! { self,
                    "; entry ", hex(12), " ", any(&["matched", "unmatched", "проведено"]), " against ",
                    any(CURRENCIES), " ", amount(), " by rule ", any(FUNCTIONS), " of ", any(CLASSES)
                };
                if !told && self.draft.text.len() >= card_at {
                    // In the middle, so that it may lie over the border of two pieces.
                    put! { self, text_card("; card "), text_email("; contact "), line_other() };
                    told = true;
                }
            }
            put! { self, "; done ", end() };
        }
        1
    }
}

const ACTIONS: &[&str] = &[
    "payment authorised",
    "payment captured",
    "transfer posted",
    "refund requested",
    "limit checked",
    "3ds challenge sent",
    "statement rendered",
    "risk score computed",
    "settlement matched",
    "account opened",
    "платіж проведено",
    "przelew zaksięgowany",
];
const CURRENCIES: &[&str] = &["EUR", "UAH", "USD", "PLN", "GBP"];
const CLASSES: &[&str] = &[
    "AuthService",
    "CaptureHandler",
    "LedgerClient",
    "FeeCalculator",
    "RetryTemplate",
    "TransferController",
    "CardVault",
    "LimitGuard",
];
const METHODS: &[&str] = &["GET", "GET", "POST", "POST", "PUT", "DELETE"];
const PATHS: &[&str] = &[
    "/api/v1/payments",
    "/api/v1/cards",
    "/api/v2/transfers",
    "/api/v1/accounts",
    "/checkout",
    "/statements",
];
const STATUSES: &[&str] = &["200", "200", "200", "201", "204", "302", "400", "404", "502"];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "okhttp/4.12.0",
    "BankApp/7.4.1 (Android 15)",
    "kube-probe/1.31",
];
const EXCEPTIONS: &[&str] = &[
    "com.bank.payments.CardDeclinedException",
    "java.lang.IllegalStateException",
    "org.springframework.dao.DataAccessResourceFailureException",
    "java.util.concurrent.CompletionException",
    "java.net.SocketTimeoutException",
];
const REASONS: &[&str] =
    &["Read timed out", "Connection reset by peer", "pool exhausted", "version conflict"];
const PACKAGES: &[&str] = &[
    "com.bank.payments.core.",
    "com.bank.cards.vault.",
    "org.springframework.web.servlet.",
    "org.apache.catalina.core.",
    "java.base/java.util.concurrent.",
];
const FUNCTIONS: &[&str] =
    &["invoke", "doFilter", "authorise", "capture", "runWorker", "lambda$post$3", "execute"];
