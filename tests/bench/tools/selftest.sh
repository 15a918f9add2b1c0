#!/bin/bash
# Runs the tools against each other: every count must agree, timing only warns. Usage: selftest.sh [base port]
cd "$(dirname "$0")"; B=${1:-23800}; fail=0
want() { python3 - "$@" <<'P' || fail=1
import json,sys
f,*conds=sys.argv[1:]; d=json.load(open(f)); ok=True
for c in conds:
    timing=any(w in c for w in ("rate","cpu_s","p50_ms","p99_ms"))
    if timing and not eval(c,{},d): print("warn (timing, busy machine?)",f.split("/")[-1],c); continue
    if not eval(c,{},d): print("FAIL",f,c,{k:v for k,v in d.items() if not isinstance(v,dict)}); ok=False
print(("ok   " if ok else "FAIL ")+f.split("/")[-1], "rate=%s"%d.get("rate"), "cpu=%s"%d.get("cpu_s")); sys.exit(not ok)
P
}
T=$(mktemp -d)
bin/smscsim --port $B --out $T/s1.json --exit-acked 1000000 --dlr-delay-ms -1 & p=$!; sleep .1
bin/smppload --port $B --total 1000000 --window 200 --binds 2 --out $T/l1.json; wait $p
want $T/s1.json "unique==1000000" "duplicates==0" "acked_unique==1000000" "malformed==0"; want $T/l1.json "acked==1000000" "acked/cpu_s>500000"
bin/smscsim --port $B --ids hex --out $T/s2.json --exit-acked 200000 --dlr-delay-ms 20 --mo-window 500 & p=$!; sleep .1
bin/smppload --port $B --total 200000 --reg 1 --expect-dlr 1 --out $T/l2.json; wait $p
want $T/s2.json "dlr_made==200000" "dlr_acked==200000" "max_outstanding<=100"; want $T/l2.json "dlr==200000" "acked/cpu_s>200000"
bin/smscsim --port $B --mo 500000 --mo-window 500 --out $T/s3.json & p=$!; sleep .1
bin/smppload --port $B --total 0 --expect-mo 500000 --out $T/l3.json; sleep .2; kill $p; wait $p
want $T/s3.json "mo_acked_unique==500000" "mo_acked/cpu_s>500000"; want $T/l3.json "mo_unique==500000"
bin/smscsim --port $B --mo 3000 --mo-rate 1000 --out $T/s3b.json & p=$!; sleep .1
bin/smppload --port $B --total 0 --expect-mo 3000 --out $T/l3b.json; sleep .1; kill $p; wait $p
want $T/s3b.json "mo_acked_unique==3000" "990<mo_rate<1010" "deliver_ack['p50_ms']<5"
bin/smscsim --port $B --mo 1000 --mo-delay-ms -1 --out $T/s3c.json --live $T/s3c.live & p=$!; sleep .1
bin/smppload --port $B --total 0 --expect-mo 1000 --out $T/l3c.json & q=$!; sleep .7; e=$(od -An -tu8 -j48 -N8 $T/s3c.live)
kill -USR2 $p; wait $q; kill $p; wait $p
want $T/s3c.json "mo_acked_unique==1000" "$((e))==0"
bin/smscsim --port $B --throttle-pct 10 --error-pct 5 --resp-delay-ms 5 --out $T/s4.json & p=$!; sleep .1
bin/smppload --port $B --total 50000 --out $T/l4.json; kill $p; wait $p
want $T/s4.json "4500<throttled<5500" "2000<errors<2800" "max_outstanding==100" "acked==50000-throttled-errors"; want $T/l4.json "acked+nacked==50000"
bin/smscsim --port $B --resp-rate 5000 --out $T/s5.json & p=$!; sleep .1
bin/smppload --port $B --total 10000 --window 1000 --out $T/l5.json; kill $p; wait $p
want $T/s5.json "max_outstanding>=900"; want $T/l5.json "4700<rate<5500"
for ka in 1 0; do n=$([ $ka = 1 ] && echo 500000 || echo 60000)
bin/httpsink --port $((B+1)) --out $T/h$ka.json & p=$!; sleep .1
bin/mtload --port $((B+1)) --keepalive $ka --conns 64 --total $n --out $T/m$ka.json; kill $p; wait $p
want $T/h$ka.json "mo_unique==$n" "mo_duplicates==0"; want $T/m$ka.json "ok==$n" "lost_conn==0" "ok/cpu_s>$([ $ka = 1 ] && echo 100000 || echo 12000)"; done
bin/httpsink --port $((B+1)) --delay-ms 10 --fail-pct 10 --drop-pct 1 --out $T/h2.json & p=$!; sleep .1
bin/mtload --port $((B+1)) --conns 100 --rate 5000 --total 20000 --post 'x={m}' --path '/dlr?a=1' --out $T/m2.json; kill $p; wait $p
want $T/h2.json "dlr_unique+failed+dropped==20000" "1800<failed<2200"; want $T/m2.json "ok+not_ok+lost_conn==20000" "4800<rate<5050" "10<=http['p50_ms']<25"
bin/httpsink --port $((B+1)) --out $T/h4.json & p=$!; sleep .1
bin/mtload --port $((B+1)) --conns 100 --ramp-us 100000 --total 2000 --out $T/m4.json; kill $p; wait $p
want $T/h4.json "mo_unique==2000" "max_connections<50"
bin/httpsink --port $((B+1)) --out $T/h3.json & p=$!; sleep .1
bin/mtload --port $((B+1)) --conns 50 --rate 1000 --total 3000 --parts 3 --out $T/m3.json; kill $p; wait $p
want $T/h3.json "mo_unique==3000"; want $T/m3.json "ok==3000" "http['p50_ms']<5"
rm -rf $T; [ $fail = 0 ] && echo SELFTEST OK || { echo SELFTEST FAILED; exit 1; }
