-- What tests/traps.py makes its traps with.
CREATE TABLE public.caught (role name, trap text, at text);
GRANT INSERT, SELECT ON public.caught TO PUBLIC;
CREATE FUNCTION public.catch(trap text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    stack text;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    INSERT INTO public.caught SELECT current_user, trap, stack;
END $$;
CREATE FUNCTION public.set_trap(name text, types text[], home text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    args text := (SELECT pg_catalog.string_agg(pg_catalog.format('NULL::%s', t), ', ') FROM pg_catalog.unnest(types) t);
    here text := (SELECT pg_catalog.string_agg(pg_catalog.format('$%s', n), ', ') FROM pg_catalog.generate_series(1, pg_catalog.cardinality(types)) n);
    kind text;
BEGIN
    IF to_regprocedure(pg_catalog.format('%s.%I(%s)', home, name, pg_catalog.array_to_string(types, ','))) IS NOT NULL THEN
        RETURN false;  -- the very same: PostgreSQL's own wins
    END IF;
    EXECUTE pg_catalog.format('SELECT pg_catalog.pg_typeof(x)::text FROM (SELECT %s.%I(%s)) AS y (x) UNION ALL SELECT %L', home, name, args, 'void') INTO kind;
    EXECUTE pg_catalog.format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', name, pg_catalog.array_to_string(types, ','),
        CASE WHEN kind LIKE '%"any%' OR kind IN ('unknown', 'void') THEN 'text' ELSE kind END,
        pg_catalog.format('BEGIN PERFORM public.catch(%L); RETURN %s; END', pg_catalog.format('%s(%s)', name, types), CASE home
            WHEN 'pg_catalog' THEN pg_catalog.format('(SELECT x FROM (SELECT pg_catalog.%I(%s)) y (x) LIMIT 1)', name, here) ELSE 'NULL' END));
    RETURN true;
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END $$;
CREATE FUNCTION public.set_operator_trap(symbol text, l text, r text, home text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    kind text;
    name text := 'trap_' || pg_catalog.md5(symbol || l || r || home);
BEGIN
    IF to_regoperator(pg_catalog.format('%s.%s(%s,%s)', home, symbol, l, r)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE pg_catalog.format('SELECT pg_catalog.pg_typeof(NULL::%s OPERATOR(%s.%s) NULL::%s)::text', l, home, symbol, r) INTO kind;
    EXECUTE pg_catalog.format('CREATE FUNCTION public.%I(l %s, r %s) RETURNS %s LANGUAGE plpgsql AS %L', name, l, r, kind,
        pg_catalog.format('BEGIN PERFORM public.catch(%L); RETURN %s; END', pg_catalog.format('%s %s %s', l, symbol, r),
            CASE home WHEN 'pg_catalog' THEN pg_catalog.format('l OPERATOR(pg_catalog.%s) r', symbol) ELSE 'NULL' END));
    EXECUTE pg_catalog.format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.%I)', symbol, l, r, name);
    RETURN true;
EXCEPTION WHEN OTHERS THEN
    RETURN false;
END $$;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC;
