import { lazy, Suspense, useCallback, useEffect, useState } from 'react'
import { getSession, onSessionChange, signOut } from './api/calls'
import { onSignedOut, words } from './api/request'
import type { Session, User } from './api/types'
import { onConnectionError } from './lib/websocket'
import { Skeleton } from './shell/Skeleton'
import { SignIn } from './signin/SignIn'
import { getRoute, navigate } from './state/route'

// Asked for while the session is asked for: whoever is signed in waits for both at once.
const shell = import('./shell/Shell')
const Shell = lazy(() => shell.then((m) => ({ default: m.Shell })))

const ended = 'You are signed out. Sign in to go on where you were.'

type State = { step: 'loading' } | { step: 'out'; session: Session | null; name: string; note: string } | { step: 'in'; session: Session; user: User }

const enter = (session: Session): State =>
  session.user ? { step: 'in', session, user: session.user } : { step: 'out', session, name: '', note: '' }

export function App() {
  const [state, setState] = useState<State>({ step: 'loading' })

  const load = useCallback((note = '') => {
    getSession(getRoute().invite).then(
      (session) =>
        setState((s) => {
          // An invitation is taken by signing in, again if need be.
          if (getRoute().invite && session.invite_role) return { step: 'out', session, name: session.user?.name ?? '', note }
          if (session.user) return s.step === 'in' && s.user.id === session.user.id ? s : enter(session)
          if (s.step === 'out' && s.session) return s
          return { step: 'out', session, name: s.step === 'in' ? s.user.name : '', note: s.step === 'in' ? note : '' }
        }),
      (err) => setState((s) => (s.step === 'in' ? s : { step: 'out', session: null, name: '', note: words(err) })),
    )
  }, [])

  useEffect(() => load(), [load])
  useEffect(() => onSessionChange(() => load(ended)), [load])
  useEffect(() => {
    const stops = [onSignedOut(() => load(ended)), onConnectionError((err) => (err.code === 4009 || err.code === 401) && load(ended))]
    return () => stops.forEach((stop) => stop())
  }, [load])

  const leave = useCallback(async () => {
    await signOut().catch(() => undefined)
    navigate('/', 'replace')
    setState((s) => ({ step: 'out', session: s.step === 'loading' ? null : s.session, name: '', note: '' }))
  }, [])

  switch (state.step) {
    case 'loading':
      return <Skeleton />
    case 'out':
      return (
        <SignIn
          key={state.name + state.note}
          session={state.session}
          name={state.name}
          note={state.note}
          onRetry={() => load()}
          onSignedIn={(session) => {
            if (getRoute().invite) navigate('/', 'replace')
            setState(enter(session))
          }}
        />
      )
    case 'in':
      return (
        <Suspense fallback={<Skeleton />}>
          <Shell key={state.user.id} session={state.session} user={state.user} onLeave={leave} />
        </Suspense>
      )
  }
}
